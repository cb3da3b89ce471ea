"""Rows of the user's files and of hub data sets, each with its place; what is wrong with one stops or is kept."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks import sources
from tasks.mixing.declarations import FilesSource, HubSource
from tasks.sources import BadRecords, Row, table_rows
from tasks.stage import UserError


@dataclass
class BadRows(BadRecords):
    """What can't become an example: the first one stops the run, or each is kept apart with its place."""

    limit_name: str = "mix.max_row_bytes"
    way_out: str = "mix.bad_rows: 'keep apart' goes on without such rows"
    task: str = ""
    reasons: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return f"task '{self.task}': "

    def add(self, file: Path | str, line: int, problem: str, reason: str = "unreadable") -> None:
        """Raises UserError if the first bad row is to stop the run."""
        super().add(file, line, problem)
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
    for line, row in table_rows(path, bad):
        if isinstance(row, dict):
            yield line, row
        else:
            bad.add(path, line, f"expected an object with fields, got {type(row).__name__}")


def hub_rows(source: HubSource, task: str) -> Iterator[tuple[str, int, Row]]:
    """The rows of a hub data set with their numbers. Raises UserError where it can't be read."""
    hub = sources.HubSource(
        name=source.name, weight=1.0, kind="hub", dataset=source.dataset, revision=source.revision,
        subset=source.subset, split=source.hub_split, records=source.records, licence=source.licence,
    )  # fmt: skip
    try:
        for number, row in enumerate(hub.rows(), start=1):
            yield source.dataset, number, row
    except UserError as error:
        raise UserError(f"task '{task}': {error}") from error
