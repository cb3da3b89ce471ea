"""The table a text travels in from `ingest` to `tokenize`: its columns, read and written as a stream."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

WRITTEN = "written"  # the hand-written hold-out
MODEL_SPLITS = ("train", "validation", "test", WRITTEN)
JUDGE_SPLITS = ("judge_a", "judge_b")  # what the heuristic judges learn from, and no model that they judge
SPLITS = (*MODEL_SPLITS, *JUDGE_SPLITS)
FEEDBACK_SOURCE = "feedback"  # of the mixture: answers that people wrote or rated highly
ROWS_IN_A_GROUP = 2_000  # some 2 MB of stories: what is in memory at once

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # first 16 hex digits of the SHA-256 of the ingested text
        ("text", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("group", pa.string()),  # what must not straddle a split (a story's plan), or ""
        ("split", pa.string()),  # a split fixed by the source ("written"), or ""
        ("weight", pa.float32()),  # expected appearances in one epoch
        ("annotations", pa.string()),  # JSON
    ]
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One text with where it comes from. `annotations` is JSON text."""

    text: str
    source: str
    licence: str
    group: str = ""
    split: str = ""
    weight: float = 1.0
    annotations: str = "{}"

    @property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class RecordWriter:
    """Writes rows to Parquet in groups, whole or not at all: the file appears when the block ends well."""

    def __init__(self, path: Path, schema: pa.Schema = SCHEMA) -> None:
        self.path = path
        self.rows = 0
        self._partial = path.with_name(path.name + ".partial")
        self._schema = schema
        self._pending: list[dict[str, object]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = pq.ParquetWriter(self._partial, schema, compression="zstd")
        except OSError:
            self._partial.unlink(missing_ok=True)
            raise

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:  # a full disk may fail any of these
            self._partial.unlink(missing_ok=True)

    def write(self, row: dict[str, object]) -> None:
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) >= ROWS_IN_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.Table.from_pylist(self._pending, schema=self._schema))
            self._pending = []


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Writes records to Parquet; returns how many."""
    with RecordWriter(path) as writer:
        for record in records:
            writer.write({name: getattr(record, name) for name in SCHEMA.names})
    return writer.rows


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, object]]:
    """The rows of a Parquet file, a row group in memory at a time."""
    with pq.ParquetFile(path, pre_buffer=False) as file:  # which would keep the bytes of the whole file
        for batch in file.iter_batches(batch_size=ROWS_IN_A_GROUP, columns=columns):
            yield from batch.to_pylist()
