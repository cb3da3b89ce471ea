"""Rows of the user's files and of hub data sets, each with its place; what is wrong with one stops or is kept."""

import csv
import glob
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks import sources
from tasks.mixing.declarations import FilesSource, HubSource
from tasks.records import read_rows
from tasks.sources import BadRecords
from tasks.stage import UserError

Row = dict[str, Any]
KINDS = ".jsonl, .csv (each also .gz), .parquet"


@dataclass
class BadRows(BadRecords):
    """What can't become an example: the first one stops the run, or each is kept apart with its place."""

    task: str = ""
    reasons: list[str] = field(default_factory=list)

    def add(self, file: Path | str, line: int, problem: str, reason: str = "unreadable") -> None:
        """Raises UserError if the first bad row is to stop the run."""
        problem = problem.replace("ingest.max_record_bytes", "mix.max_row_bytes")
        if self.stop:
            raise UserError(
                f"task '{self.task}': {file}:{line}: {problem} (mix.bad_rows: 'keep apart' goes on without such rows)"
            )
        self.found.append({"file": str(file), "line": line, "problem": problem})
        self.reasons.append(reason)


def file_rows(source: FilesSource, folder: Path, bad: BadRows) -> Iterator[tuple[Path, int, Row]]:
    """The rows of a source's files with file and line (of Parquet: the row), in the order of the files' names."""
    for pattern in source.globs:
        found = sorted(glob.glob(str(folder / pattern), recursive=True))
        if not found:
            raise UserError(f"task '{bad.task}', source '{source.name}': no file matches '{folder / pattern}'")
        for path in map(Path, found):
            for line, row in rows_of(path, bad):
                yield path, line, row


def rows_of(path: Path, bad: BadRows) -> Iterator[tuple[int, Row]]:
    """The rows of one file with their lines."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        yield from _json_rows(path, bad)
    elif name.endswith(".csv"):
        yield from _csv_rows(path, bad)
    elif name.endswith(".parquet"):
        yield from _parquet_rows(path)
    else:
        raise UserError(f"task '{bad.task}': {path}: unknown kind of file; allowed: {KINDS}")


def hub_rows(source: HubSource, task: str) -> Iterator[tuple[str, int, Row]]:
    """The rows of a hub data set with their numbers. Raises UserError where it can't be read."""
    hub = sources.HubSource(
        name=source.name, weight=1.0, kind="hub", dataset=source.dataset, revision=source.revision,
        subset=source.subset, split=source.hub_split, records=source.records, licence=source.licence,
    )  # fmt: skip
    try:
        for number, row in enumerate(hub._rows(), start=1):
            yield source.dataset, number, row
    except UserError as error:
        raise UserError(f"task '{task}': {error}") from error


def _json_rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Row]]:
    for number, line in sources._lines(path, bad):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError as error:
            bad.add(path, number, f"not UTF-8 at byte {error.start} of the line")
        except json.JSONDecodeError as error:
            bad.add(path, number, f"not valid JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 5,000 deep
            bad.add(path, number, f"JSON that can't be read: {error}")
        else:
            if isinstance(row, dict):
                yield number, row
            else:
                bad.add(path, number, f"expected an object with fields, got {type(row).__name__}")


def _csv_rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(min(bad.limit_bytes, sys.maxsize))
    decoded = (line.decode("utf-8-sig" if number == 1 else "utf-8") for number, line in sources._lines(path, bad))
    rows = csv.DictReader(decoded, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise UserError(f"task '{bad.task}': {path}:{rows.reader.line_num}: not valid CSV: {error}") from None
    except UnicodeDecodeError:
        raise UserError(f"task '{bad.task}': {path}:{rows.reader.line_num + 1}: not UTF-8") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa

    try:
        yield from enumerate(read_rows(path), start=1)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
