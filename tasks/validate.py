"""The stage `validate`: may this data go on? A Great Expectations suite for each data set."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from tasks import expectations, stage
from tasks.expectations import DATA_DOCS
from tasks.records import SPLITS, read_rows
from tasks.stage import Params, UserError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

ACCEPTED = Path("accepted")  # tracked: the lengths of the last accepted data, a file a profile
DRIFT = "expect_column_kl_divergence_to_be_less_than"
LENGTH_BINS = [0, 25, 50, 75, 100, 125, 150, 175, 200, 250, 300, 400, 600, 1_000, 2_000, 100_000]  # words


class ValidateParams(Params):
    """What every data set must hold; shares are of rows."""

    words: tuple[int, int]  # least and most words of a text
    odd_character_share: float = Field(ge=0, le=1)  # of a text: outside `characters`
    characters: str  # a regular expression's character class
    duplicate_share: float = Field(ge=0, le=1)
    unsafe_share: float = Field(ge=0, le=1)  # rejected as unsafe, of all records prepared
    least_records: dict[str, int]  # by split
    length_drift: float = Field(gt=0)  # Kullback-Leibler divergence from the accepted lengths, in nats

    @model_validator(mode="after")
    def _possible(self) -> "ValidateParams":
        if self.words[0] > self.words[1]:
            raise ValueError(f"words: {self.words[0]} is more than {self.words[1]}")
        if unknown := set(self.least_records) - set(SPLITS):
            raise ValueError(f"least_records: unknown split '{min(unknown)}'; allowed: {', '.join(SPLITS)}")
        return self


def validate(params: ValidateParams, *, clean: Path, rejected: Path, result: Path, metrics: Path) -> None:
    """Checks each split; writes `result` (what `pretrain` waits for) only where everything holds.

    The Data Docs go to var/data_docs (they carry times). Raises UserError naming the first failed
    expectation and example rows.
    """
    profile = str(stage.read_yaml(stage.PARAMS_FILE).get("profile", ""))
    frames = {split: _measurements(clean / f"{split}.parquet", params) for split in SPLITS}
    reference = _accepted_lengths(profile)
    if reference is None:
        log.info("no accepted lengths for profile '%s' yet: drift is not checked (`fledgling accept-data`)", profile)
    figures: dict[str, Any] = {"expectations": 0, "expectations_failed": 0}
    failures: list[str] = []
    unsafe = _unsafe_share(frames, rejected)
    suites = (
        (split, frame.assign(unsafe_share=unsafe), _suite(split, params, reference)) for split, frame in frames.items()
    )
    for split, outcome in expectations.run_suites(suites):
        figures["expectations"] += len(outcome["results"])
        figures["expectations_failed"] += len(expectations.failures(outcome))
        figures |= _figures(split, outcome)
        failures += [_failure(split, found, clean) for found in expectations.failures(outcome)]
    stage.write_metrics(metrics, figures)
    log.info(
        "%d expectations, %d failed; Data Docs: %s", figures["expectations"], len(failures), DATA_DOCS / "index.html"
    )
    if failures:
        raise UserError(expectations.refusal(failures))
    stage.write_text(result, json.dumps({"valid": True}) + "\n")


def _measurements(path: Path, params: ValidateParams) -> "pd.DataFrame":
    """One row a text: what the expectations look at, without the text itself (memory stays small)."""
    import re

    import pandas as pd

    odd = re.compile(f"[^{params.characters}]")
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "source", "licence", "weight", "words", "odd_character_share")
    }
    fingerprints: list[int] = []
    for row in read_rows(path):
        text = str(row["text"])
        for name in ("id", "source", "licence", "weight"):
            columns[name].append(row[name])
        columns["words"].append(len(text.split()))
        columns["odd_character_share"].append(len(odd.findall(text)) / max(1, len(text)))
        fingerprints.append(_fingerprint(text))
    frame = pd.DataFrame(columns)
    frame["duplicate"] = pd.Series(fingerprints, dtype="uint64").duplicated().astype(int)
    return frame


def _fingerprint(text: str) -> int:
    import hashlib

    normal = " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")


def _unsafe_share(frames: Mapping[str, "pd.DataFrame"], rejected: Path) -> float:
    reasons = [str(row["reason"]) for row in read_rows(rejected, ["reason"])]
    total = sum(map(len, frames.values())) + len(reasons)
    return reasons.count("unsafe") / max(1, total)


def _suite(split: str, params: ValidateParams, reference: Mapping[str, Any] | None) -> list[Any]:
    """The expectations of one data set."""
    from great_expectations import expectations as gxe

    least, most = params.words
    suite = [
        gxe.ExpectTableRowCountToBeBetween(min_value=params.least_records.get(split, 0)),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ("id", "source", "licence", "words")),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnValueLengthsToEqual(column="id", value=16),
        gxe.ExpectColumnValuesToBeBetween(column="words", min_value=least, max_value=most),
        gxe.ExpectColumnValuesToBeBetween(column="odd_character_share", max_value=params.odd_character_share),
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0, strict_min=True),
        gxe.ExpectColumnMeanToBeBetween(column="duplicate", max_value=params.duplicate_share),
        gxe.ExpectColumnMeanToBeBetween(column="unsafe_share", max_value=params.unsafe_share),
    ]
    if split == "train" and reference is not None:
        suite.append(
            gxe.ExpectColumnKLDivergenceToBeLessThan(
                column="words",
                partition_object=dict(reference),
                threshold=params.length_drift,
                internal_weight_holdout=0.001,
                tail_weight_holdout=0.001,
            )
        )
    return suite


def _figures(split: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What was seen, as flat metrics: `train_records`, `train_length_drift`, and so on."""
    names = {
        "expect_table_row_count_to_be_between": "records",
        DRIFT: "length_drift",
    }
    found: dict[str, Any] = {}
    for entry in outcome["results"]:
        kind = entry["expectation_config"]["type"]
        column = entry["expectation_config"]["kwargs"].get("column")
        name = names.get(kind) or (
            f"{column}_share" if kind.startswith("expect_column_mean") and column == "duplicate" else None
        )
        if name is not None:
            found[f"{split}_{name}"] = entry["result"].get("observed_value")
    return found


def _failure(split: str, entry: Mapping[str, Any], clean: Path) -> str:
    wanted = expectations.example_ids(entry)
    rows = read_rows(clean / f"{split}.parquet", ["id", "text"]) if wanted else iter(())
    texts = {str(row["id"]): str(row["text"]) for row in rows if row["id"] in wanted}
    is_drift = entry["expectation_config"]["type"] == DRIFT
    hint = "; where the new lengths are right: `fledgling accept-data`" if is_drift else ""
    return expectations.failure_line(split, entry, texts, hint)


def _accepted_lengths(profile: str) -> dict[str, Any] | None:
    path = ACCEPTED / f"{profile}.json"
    return dict(json.loads(path.read_text())["words"]) if path.exists() else None


def accept(clean: Path = Path("data/clean"), folder: Path = ACCEPTED) -> Path:
    """Makes the lengths of the present train split the accepted ones of the present profile."""
    profile = str(stage.read_yaml(stage.PARAMS_FILE).get("profile", ""))
    if not (clean / "train.parquet").exists():
        raise UserError(f"{clean / 'train.parquet'}: no such file; run the chain first")
    lengths = [len(str(row["text"]).split()) for row in read_rows(clean / "train.parquet", ["text"])]
    counts, _ = np.histogram(lengths, bins=LENGTH_BINS)
    smoothed = counts + 0.5  # no bin empty: the divergence from an empty bin is infinite
    weights = smoothed / smoothed.sum()
    path = folder / f"{profile}.json"
    stage.write_text(path, json.dumps({"words": {"bins": LENGTH_BINS, "weights": weights.tolist()}}, indent=1) + "\n")
    return path


if __name__ == "__main__":
    stage.main(validate)
