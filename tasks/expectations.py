"""Great Expectations suites run over frames: their pages in the Data Docs, the first failures as lines."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import stage

if TYPE_CHECKING:
    import pandas as pd

DATA_DOCS = stage.STATE / "data_docs"
EXAMPLES = 3  # rows shown of a failed expectation
LINES = 2  # failed expectations told in one error

Outcome = dict[str, Any]  # a validation result as JSON


def run_suites(suites: Iterable[tuple[str, "pd.DataFrame", list[Any]]]) -> Iterator[tuple[str, Outcome]]:
    """Validates each (name, frame, expectations) in turn and writes its page of the Data Docs.

    A frame has a column `id`, which names the rows that fail.
    """
    import great_expectations as gx

    from tasks import data_docs

    logging.getLogger("great_expectations").propagate = False  # it talks of its temporary folder; warnings still show
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("data")
    pages: dict[str, bool] = {}
    for name, frame, expectations in suites:
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(
                name=name,
                data=source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all"),
                suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations)),
            )
        )
        result = definition.run(
            batch_parameters={"dataframe": frame},
            result_format={"result_format": "SUMMARY", "unexpected_index_column_names": ["id"]},
        )
        outcome = json.loads(json.dumps(result.to_json_dict()))
        pages[name] = bool(outcome["success"])
        data_docs.write_page(DATA_DOCS, name, outcome)
        yield name, outcome
    data_docs.write_index(DATA_DOCS, pages)


def failures(outcome: Outcome) -> list[Mapping[str, Any]]:
    """The failed expectations of a result."""
    return [found for found in outcome["results"] if not found["success"]]


def failure_line(name: str, entry: Mapping[str, Any], examples: Mapping[str, str], hint: str = "") -> str:
    """One failed expectation in words, with the rows that fail it. examples: text to show of a row, by its id."""
    config = entry["expectation_config"]
    kwargs = {key: value for key, value in config["kwargs"].items() if key not in ("batch_id", "partition_object")}
    told = ", ".join(f"{key}={value}" for key, value in kwargs.items())
    result = entry["result"]
    seen = (
        f"saw {result['observed_value']}"
        if "observed_value" in result
        else f"{result.get('unexpected_count')} rows do not"
    )
    shown = ", ".join(f"{key} ({examples.get(key, '')[:40]!r}...)" for key in example_ids(entry))
    rows = f", for example {shown}" if shown else ""
    return f"{name}: {config['type']}({told}) failed: {seen}{rows}{hint}"


def example_ids(entry: Mapping[str, Any]) -> list[str]:
    """The ids of the first rows that fail an expectation."""
    found = entry["result"].get("partial_unexpected_index_list") or []
    return [str(row.get("id")) for row in found][:EXAMPLES]


def refusal(lines: list[str], index: Path = DATA_DOCS / "index.html") -> str:
    """The line of a data set that may not go on: its first failures and where the rest stand."""
    return "; ".join(lines[:LINES]) + f"; see {index}"
