"""What the pairs must hold, as a Great Expectations suite."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks import expectations
from tasks.stage import UserError

NAME = "pairs"


def check(rows: Sequence[Mapping[str, Any]], *, most_of_a_prompt: int) -> int:
    """Validates the rows as they are written, a `split` with each; returns how many expectations held.

    Raises UserError with the first failed expectations and example rows.
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    frame["of_prompt"] = frame.groupby("prompt_id")["id"].transform("size")
    frame["splits_of_cluster"] = frame.groupby("cluster")["split"].transform("nunique")
    ((_, outcome),) = expectations.run_suites([(NAME, frame, _suite(most_of_a_prompt))])
    prompts = {str(row["id"]): str(row["prompt"]) for row in rows}
    lines = [expectations.failure_line(NAME, found, prompts) for found in expectations.failures(outcome)]
    if lines:
        raise UserError(expectations.refusal(lines))
    return len(outcome["results"])


def _suite(most_of_a_prompt: int) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ("id", "prompt_id", "cluster", "kind", "origin")),
        *(gxe.ExpectColumnValueLengthsToBeBetween(column=name, min_value=1) for name in ("prompt", "chosen")),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnValuesToBeInSet(column="source", value_set=["judge", "human", "correction"]),
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0, max_value=1, strict_min=True),
        gxe.ExpectColumnValuesToBeBetween(column="of_prompt", min_value=1, max_value=most_of_a_prompt),
        gxe.ExpectColumnValuesToBeBetween(column="splits_of_cluster", min_value=1, max_value=1),
    ]
