"""The stage `prepare`: raw records to clean, distinct, harmless ones in their splits; nothing vanishes.

Two passes over the table. The first cleans and judges each text by itself and writes it to a scratch folder
with its signature; then the twins are found on disk; the second gives each record its place.
"""

import hashlib
import logging
import shutil
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from tasks import stage
from tasks.cleaning import contamination
from tasks.cleaning.batch import CleanBatch, CleaningParams
from tasks.cleaning.duplicates import Components, DuplicateParams, SignatureStore, Twins
from tasks.cleaning.pool import clean_in_order
from tasks.records import JUDGE_SPLITS, ROWS_IN_A_GROUP, SCHEMA, SPLITS, WRITTEN, RecordWriter
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

SHARED_OUT = ("test", "validation", *JUDGE_SPLITS)  # in this order along the line of hashes; the rest is train
REASONS = (
    "replacement_characters",
    "mojibake",
    "empty",
    "too_short",
    "too_long",
    "character_set",
    "repetition",
    "unsafe",
    "contaminated",
    "exact_duplicate",
    "near_duplicate",
)
REJECTED_SCHEMA = pa.schema([*SCHEMA, ("reason", pa.string()), ("detail", pa.string())])

_SECONDS_BETWEEN_LINES = 5.0


class SplitParams(Params):
    """The shares of the evaluation splits and of the judges'; the rest is for training."""

    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)
    judge_a: float = Field(gt=0, lt=0.5)
    judge_b: float = Field(gt=0, lt=0.5)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> "SplitParams":
        shares = [getattr(self, name) for name in SHARED_OUT]
        if sum(shares) >= 1:
            raise ValueError(f"{' + '.join(SHARED_OUT)} is {sum(shares):g}; nothing would be left to train on")
        return self


class PrepareParams(CleaningParams):
    """The section `prepare` of params.yaml."""

    split: SplitParams

    @model_validator(mode="after")
    def _written_is_known(self) -> "PrepareParams":
        if self.contamination.ngram < self.duplicates.shingle_words:
            raise ValueError("contamination.ngram is below duplicates.shingle_words; it would find common phrases")
        return self


@dataclass(kw_only=True)
class _Rows:
    """What is remembered of each record that passed: some 30 bytes. A position is one in the signature store."""

    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    keys: "array[int]" = field(default_factory=lambda: array("Q"))  # of what must not straddle a split
    sources: "array[int]" = field(default_factory=lambda: array("H"))
    is_written: "array[int]" = field(default_factory=lambda: array("B"))
    source_numbers: dict[str, int] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        number = self.source_numbers.setdefault(row["source"], len(self.source_numbers))
        self.ids.append(int(row["id"], 16))
        self.keys.append(_hash(f"group {row['group']}" if row["group"] else f"id {row['id']}"))
        self.sources.append(number)
        self.is_written.append(row["split"] == WRITTEN)

    def rank(self, position: int) -> tuple[bool, int, int, int]:
        """Of two copies the lower stays: a hand-written hold-out, the earlier source, the lower id."""
        return not self.is_written[position], self.sources[position], self.ids[position], position

    def name(self, position: int) -> str:
        return f"{self.ids[position]:016x}"


@dataclass(kw_only=True)
class _Decisions:
    """The outcome of the search: copies (the position that stays, the best similarity) and split clusters.

    `exact` holds positions, `clusters` the keys of what must not straddle a split.
    """

    kept_instead: dict[int, int]
    jaccards: dict[int, float]
    exact: Components
    clusters: Components


def prepare(params: PrepareParams, *, records: Path, clean: Path, rejected: Path, metrics: Path) -> None:
    """Cleans, filters, deduplicates and splits the raw records.

    Every record ends in one file of `clean` or, with reason and detail, in `rejected`: as it came in, or as
    cleaned if all that speaks against it is a twin that stays. Raises UserError if nothing is left.
    """
    started = time.monotonic()
    _check(records)
    scratch = rejected.parent / ".prepare"  # beside the outputs: a rename away, and never on a small /tmp
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        counts = _prepare(params, records=records, clean=clean, rejected=rejected, scratch=scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    megabytes = counts.pop("bytes_in") / 1e6
    stage.timings(mb_per_s=megabytes / (time.monotonic() - started))
    stage.write_metrics(metrics, _figures(counts, params))


def _prepare(params: PrepareParams, *, records: Path, clean: Path, rejected: Path, scratch: Path) -> Counter[str]:
    scratch.mkdir(parents=True)
    index = scratch / "evaluation.npy"
    evaluation = chain(contamination.evaluation_texts(params.contamination.evaluation), _written_texts(records))
    np.save(index, contamination.index_texts(evaluation, params.contamination.ngram))
    staged = scratch / "staged.parquet"
    rows, counts = _Rows(), Counter[str]()
    with SignatureStore(scratch / "signatures", params.duplicates.bands) as store:
        _first_pass(params, records=records, staged=staged, index=index, store=store, rows=rows, counts=counts)
        decisions = _find_twins(store, rows, params.duplicates)
    log.info("%d texts compared, %d of them are copies", len(rows.ids), len(decisions.kept_instead))
    _second_pass(
        params.split, staged=staged, clean=clean, rejected=rejected, rows=rows, decisions=decisions, counts=counts
    )
    if not counts["records_train"]:
        raise UserError(
            f"{records}: no training record is left of {counts['records_in']}; {rejected} says why, "
            "the limits stand in params.yaml under prepare"
        )
    for split in ("validation", "test"):
        if not counts[f"records_{split}"]:
            log.warning("the split '%s' is empty: %d records are too few for its share", split, counts["records_kept"])
    return counts


def _check(records: Path) -> None:
    try:
        schema = pq.read_schema(records)
    except FileNotFoundError:
        raise UserError(f"{records}: no such file; the stage ingest makes it") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{records}: not a Parquet file: {error}") from None
    missing = [name for name in SCHEMA.names if name not in schema.names]
    if missing:
        raise UserError(f"{records}: no column '{missing[0]}'; expected {', '.join(SCHEMA.names)}")


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with pq.ParquetFile(path, pre_buffer=False) as file:  # which would keep the bytes of the whole file
        for batch in file.iter_batches(batch_size=ROWS_IN_A_GROUP):
            yield batch.to_pylist()


def _written_texts(records: Path) -> Iterator[str]:
    """The texts of the hand-written hold-out; row groups without one are not read."""
    with pq.ParquetFile(records) as file:
        for group in range(file.num_row_groups):
            splits = file.read_row_group(group, columns=["split"])["split"].to_pylist()
            unknown = set(splits) - {"", WRITTEN}
            if unknown:
                raise UserError(f"{records}: a record's fixed split is {min(unknown)!r}; allowed: '', '{WRITTEN}'")
            if WRITTEN in splits:
                texts = file.read_row_group(group, columns=["text"])["text"].to_pylist()
                yield from (text for text, split in zip(texts, splits, strict=True) if split == WRITTEN)


def _first_pass(
    params: PrepareParams,
    *,
    records: Path,
    staged: Path,
    index: Path,
    store: SignatureStore,
    rows: _Rows,
    counts: Counter[str],
) -> None:
    with pq.ParquetFile(records) as file:
        total = file.metadata.num_rows
    said = time.monotonic()
    with RecordWriter(staged, REJECTED_SCHEMA) as writer:
        for batch, cleaned in clean_in_order(params, _batches(records), index=index, total=total):
            _stage(batch, cleaned, writer=writer, rows=rows, counts=counts)
            store.add(cleaned.signatures)
            if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                log.info("%d of %d texts cleaned", writer.rows, total)


def _stage(
    batch: Sequence[dict[str, Any]], cleaned: CleanBatch, *, writer: RecordWriter, rows: _Rows, counts: Counter[str]
) -> None:
    counts.update(cleaned.counts)
    for row, text, (reason, detail) in zip(batch, cleaned.texts, cleaned.verdicts, strict=True):
        counts["records_in"] += 1
        counts["bytes_in"] += len(row["text"].encode())
        counts[f"records_in_{stage.metric_key(row['source'])}"] += 1
        if reason == "unsafe":
            counts[f"unsafe_{detail.partition(':')[0]}"] += 1
        if not reason:
            rows.add(row)
        writer.write({**row, "text": text, "reason": reason, "detail": detail})


def _find_twins(store: SignatureStore, rows: _Rows, params: DuplicateParams) -> _Decisions:
    copies = Components(rows.rank)
    decisions = _Decisions(
        kept_instead={}, jaccards={}, exact=Components(rows.rank), clusters=Components(lambda key: key)
    )

    def known(a: int, b: int) -> bool:
        return copies.find(a) == copies.find(b)

    for twins in store.twins(params.cluster_jaccard, known=known):
        decisions.clusters.join(rows.keys[twins.first], rows.keys[twins.second])
        if twins.jaccard >= params.reject_jaccard:
            copies.join(twins.first, twins.second)
            _note(twins, decisions)
    decisions.kept_instead = {position: copies.find(position) for position in copies.joined()}
    return decisions


def _note(twins: Twins, decisions: _Decisions) -> None:
    for position in (twins.first, twins.second):
        decisions.jaccards[position] = max(decisions.jaccards.get(position, 0.0), twins.jaccard)
    if twins.exact:
        decisions.exact.join(twins.first, twins.second)


def _second_pass(
    params: SplitParams,
    *,
    staged: Path,
    clean: Path,
    rejected: Path,
    rows: _Rows,
    decisions: _Decisions,
    counts: Counter[str],
) -> None:
    position = -1
    with ExitStack() as stack:
        refused = stack.enter_context(RecordWriter(rejected, REJECTED_SCHEMA))
        writers = {name: stack.enter_context(RecordWriter(clean / f"{name}.parquet")) for name in SPLITS}
        for row in chain.from_iterable(_batches(staged)):
            if not row["reason"]:
                position += 1
                row["reason"], row["detail"] = _verdict(position, rows, decisions)
            reason, detail = row.pop("reason"), row.pop("detail")
            if reason:
                counts[f"rejected_{reason}"] += 1
                refused.write({**row, "reason": reason, "detail": detail})
                continue
            split = WRITTEN if rows.is_written[position] else _split_of(rows.keys[position], decisions, params)
            counts["records_kept"] += 1
            counts[f"records_{split}"] += 1
            counts[f"records_kept_{stage.metric_key(row['source'])}"] += 1
            writers[split].write(row)


def _verdict(position: int, rows: _Rows, decisions: _Decisions) -> tuple[str, str]:
    if position not in decisions.kept_instead:
        return "", ""
    kept = decisions.kept_instead[position]
    similar = f"Jaccard {decisions.jaccards[position]:.2f}"
    if rows.is_written[kept] and not rows.is_written[position]:
        return "contaminated", f"a copy of the hand-written hold-out {rows.name(kept)}, {similar}"
    if (twin := decisions.exact.find(position)) != position:
        return "exact_duplicate", f"the same words as {rows.name(twin)}"
    return "near_duplicate", f"of {rows.name(kept)}, {similar} to its nearest twin"


def _split_of(key: int, decisions: _Decisions, params: SplitParams) -> str:
    """By the hash of the cluster's least key: it doesn't depend on the order of the records."""
    point = _hash(f"split {params.seed} {decisions.clusters.find(key)}") / 2**64
    for name in SHARED_OUT:
        point -= getattr(params, name)
        if point < 0:
            return name
    return "train"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _figures(counts: Counter[str], params: PrepareParams) -> dict[str, float | int]:
    always = [
        *(f"rejected_{reason}" for reason in REASONS),
        *(f"records_{split}" for split in SPLITS),
        *(f"unsafe_{name}" for name in params.safety.categories),
        *("markup_removed", "mojibake_repaired", "navigation_lines_removed", "records_kept"),
    ]
    figures: dict[str, float | int] = {**dict.fromkeys(always, 0), **counts}
    compared = counts["records_kept"] + counts["rejected_exact_duplicate"] + counts["rejected_near_duplicate"]
    return figures | {"near_duplicate_share": counts["rejected_near_duplicate"] / max(1, compared)}


if __name__ == "__main__":
    stage.main(prepare)
