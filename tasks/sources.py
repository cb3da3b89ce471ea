"""Where records come from: the built-in storybook, files of the user's, a data set of the hub.

`table_rows` and `HubSource.rows` are also what the sources of tasks (tasks.mixing) are read by.
"""

import csv
import glob
import gzip
import json
import logging
import sys
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field

from tasks.records import Record
from tasks.stage import Params, UserError, write_text

log = logging.getLogger(__name__)

HOLDOUT = "written"  # the split of the hand-written stories that are never trained on
STORYBOOK_LICENCE = "Apache-2.0"
ROW_KINDS = ".jsonl, .csv (each also .gz), .parquet"

Row = dict[str, Any]


@dataclass
class BadRecords:
    """What could not be read: either the first one stops the run, or each is noted with its place.

    limit_name, way_out: the key of the limit, and the one that goes on, as params.yaml has them.
    """

    stop: bool
    limit_bytes: int
    limit_name: str = "ingest.max_record_bytes"
    way_out: str = "ingest.bad_records: 'keep apart' goes on without such records"
    found: list[dict[str, str | int]] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """What every refusal begins with."""
        return ""

    def refusal(self, problem: str) -> UserError:
        """The error of a file that can't be read at all, or of the first bad record."""
        return UserError(f"{self.prefix}{problem}")

    def add(self, file: Path | str, line: int, problem: str) -> None:
        """Raises UserError if the first bad record is to stop the run."""
        if self.stop:
            raise self.refusal(f"{file}:{line}: {problem} ({self.way_out})")
        self.found.append({"file": str(file), "line": line, "problem": problem})

    def write(self, path: Path) -> None:
        write_text(path, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in self.found))


class Source(Params):
    """A named source; `weight` is how often each of its texts is expected in one epoch of training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    weight: float = Field(gt=0, le=100)

    @property
    @abstractmethod
    def where(self) -> str: ...

    @abstractmethod
    def read(self, bad: BadRecords) -> Iterator[Record]: ...


class StorybookSource(Source):
    """The built-in stories: those written for this project, or any number from the generator."""

    kind: Literal["storybook"]
    part: Literal["written", "generated"]
    stories: int | None = Field(default=None, gt=0)  # None: all there are (written only)
    seed: int = 0

    @property
    def where(self) -> str:
        return f"the {self.part} storybook"

    def read(self, bad: BadRecords) -> Iterator[Record]:
        from tasks.storybook.story import written_stories

        if self.part == "written":
            chosen = [story for story in written_stories() if story.split == "train"]
            stories: Any = chosen[: self.stories]
        else:
            from tasks.storybook.generator import generate_stories

            if self.stories is None:
                raise UserError(f"source '{self.name}': say how many 'stories' the generator shall tell")
            stories = generate_stories(seed=self.seed, count=self.stories)
        for story in stories:
            yield _story_record(story, source=self.name, weight=self.weight, split="")


def storybook_holdout() -> Iterator[Record]:
    """The hand-written stories that no training ever sees."""
    from tasks.storybook.story import written_stories

    for story in written_stories():
        if story.split == "holdout":
            yield _story_record(story, source="storybook-holdout", weight=1.0, split=HOLDOUT)


def _story_record(story: Any, *, source: str, weight: float, split: str) -> Record:
    about = story.model_dump(exclude={"text", "split", "plan"})
    return Record(
        text=story.text.strip(),
        source=source,
        licence=STORYBOOK_LICENCE,
        group=story.plan,
        split=split,
        weight=weight,
        annotations=json.dumps(about, ensure_ascii=False, sort_keys=True),
    )


class FilesSource(Source):
    """Files of .txt, .jsonl, .jsonl.gz, .csv or .parquet; globs are relative to the project's root."""

    kind: Literal["files"]
    globs: tuple[str, ...] = Field(min_length=1)
    column: str = "text"  # the field or column that holds the text
    separator: str | None = None  # .txt: what stands between two documents; None: a file is one document
    passage_words: int | None = Field(default=None, gt=0)  # cut long texts at paragraphs; None: leave whole
    licence: str

    @property
    def where(self) -> str:
        return ", ".join(self.globs)

    def read(self, bad: BadRecords) -> Iterator[Record]:
        for file in self._files():
            for text in self._texts(file, bad):
                for passage in _passages(text, self.passage_words):
                    yield Record(text=passage, source=self.name, licence=self.licence, weight=self.weight)

    def _files(self) -> Iterator[Path]:
        for pattern in self.globs:
            found = sorted(glob.glob(pattern, recursive=True))
            if not found:
                raise UserError(f"source '{self.name}': no file matches '{pattern}'")
            yield from map(Path, found)

    def _texts(self, file: Path, bad: BadRecords) -> Iterator[str]:
        if file.name.removesuffix(".gz").endswith(".txt"):
            yield from _plain_documents(file, self.separator, bad)
            return
        for number, row in table_rows(file, bad, columns=[self.column], allowed=f".txt, {ROW_KINDS}"):
            problem = _text_problem(row, self.column, bad)
            if problem:
                bad.add(file, number, problem)
            else:
                yield row[self.column]


class HubSource(Source):
    """A data set of the Hugging Face hub (or of its form, in a local folder), streamed."""

    kind: Literal["hub"]
    dataset: str
    revision: str | None  # a commit or tag: without one the bytes may change from run to run
    subset: str | None = None
    split: str = "train"
    column: str = "text"
    records: int | None = Field(default=None, gt=0)  # the first so many; None: all
    licence: str

    @property
    def where(self) -> str:
        return f"hub data set {self.dataset}@{self.revision or 'newest'}"

    def read(self, bad: BadRecords) -> Iterator[Record]:
        for number, row in enumerate(self.rows(), start=1):
            problem = _text_problem(row, self.column, bad)
            if problem:
                bad.add(self.dataset, number, problem)
                continue
            yield Record(text=row[self.column], source=self.name, licence=self.licence, weight=self.weight)

    def rows(self) -> Iterator[Row]:
        """The rows with all their fields. Raises UserError where the data set can't be read."""
        import datasets

        datasets.disable_progress_bars()
        try:
            stream = datasets.load_dataset(
                self.dataset, self.subset, split=self.split, revision=self.revision, streaming=True
            )
            yield from stream.take(self.records) if self.records else stream
        except Exception as error:  # the hub's client raises a dozen kinds; each is one line to the user
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise UserError(f"source '{self.name}': can't read {self.where}: {reason}") from error


def table_rows(
    file: Path, bad: BadRecords, *, columns: Sequence[str] | None = None, allowed: str = ROW_KINDS
) -> Iterator[tuple[int, Any]]:
    """The rows of a file with their lines (of Parquet: their numbers); of .jsonl any value, else objects.

    columns: what is read of Parquet, None: all. allowed: what the refusal of an unknown kind of file names. Raises
    UserError where the file can't be read.
    """
    readers: dict[str, Callable[[], Iterator[tuple[int, Any]]]] = {
        ".jsonl": lambda: _json_values(file, bad),
        ".csv": lambda: _csv_rows(file, bad),
        ".parquet": lambda: _parquet_rows(file, columns, bad),
    }
    name = file.name.removesuffix(".gz")
    reader = next((reader for ending, reader in readers.items() if name.endswith(ending)), None)
    if reader is None:
        raise bad.refusal(f"{file}: unknown kind of file; allowed: {allowed}")
    yield from reader()


def _json_values(file: Path, bad: BadRecords) -> Iterator[tuple[int, Any]]:
    # datasets' JSON reader names no line where it fails, so this one is ours
    for number, line in _lines(file, bad):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError as error:
            bad.add(file, number, f"not UTF-8 at byte {error.start} of the line")
        except json.JSONDecodeError as error:
            bad.add(file, number, f"not valid JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 5,000 deep
            bad.add(file, number, f"JSON that can't be read: {error}")
        else:
            yield number, row


def _csv_rows(file: Path, bad: BadRecords) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(min(bad.limit_bytes, sys.maxsize))
    decoded = (line.decode("utf-8-sig" if number == 1 else "utf-8") for number, line in _lines(file, bad))
    rows = csv.DictReader(decoded, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise bad.refusal(f"{file}:{rows.reader.line_num}: not valid CSV: {error}") from None
    except UnicodeDecodeError:
        raise bad.refusal(f"{file}:{rows.reader.line_num + 1}: not UTF-8") from None


def _parquet_rows(file: Path, columns: Sequence[str] | None, bad: BadRecords) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.records import read_rows

    try:
        names = pq.read_schema(file).names
        if missing := [column for column in columns or () if column not in names]:
            raise bad.refusal(f"{file}: no column '{missing[0]}'; there is {', '.join(map(repr, names))}")
        yield from enumerate(read_rows(file, columns), start=1)
    except (pa.ArrowInvalid, OSError) as error:
        raise bad.refusal(f"{file}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _lines(file: Path, bad: BadRecords) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers; one longer than the limit is a bad record, never in memory whole."""
    number = 0
    try:
        with _open(file) as stream:
            while line := stream.readline(bad.limit_bytes + 1):
                number += 1
                if len(line) > bad.limit_bytes and not line.endswith(b"\n"):
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(bad.limit_bytes)
                    bad.add(file, number, f"the line is longer than {bad.limit_name} = {bad.limit_bytes}")
                    continue
                yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise bad.refusal(f"{file}:{number + 1}: not a whole gzip file: {error}") from None
    except OSError as error:
        raise bad.refusal(f"{file}: can't be read: {error.strerror or error}") from None


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _text_problem(row: Any, column: str, bad: BadRecords) -> str | None:
    if not isinstance(row, dict):
        return f"expected an object with a field '{column}', got {type(row).__name__}"
    if column not in row:
        return f"no field '{column}'; there is {', '.join(map(repr, row)) or 'none'}"
    text = row[column]
    if not isinstance(text, str):
        return f"field '{column}' must be text, got {type(text).__name__}"
    if not text.strip():
        return f"field '{column}' is empty"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"field '{column}' holds half of a surrogate pair"
    if len(text) > bad.limit_bytes:
        return f"field '{column}' is longer than {bad.limit_name} = {bad.limit_bytes}"
    return None


def _plain_documents(file: Path, separator: str | None, bad: BadRecords) -> Iterator[str]:
    """Documents of a text file, split where a line is the separator ("" is an empty line)."""
    document: list[str] = []
    for number, line in _lines(file, bad):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            bad.add(file, number, f"not UTF-8 at byte {error.start} of the line")
            continue
        if separator is not None and text.strip() == separator:
            if document:
                yield "".join(document).strip()
            document = []
        elif text.strip() or document:
            document.append(text)
    if document:
        yield "".join(document).strip()


def _passages(text: str, words: int | None) -> Iterator[str]:
    """The text whole, or cut between paragraphs into passages of at most `words` words where it is longer."""
    if words is None or len(text.split()) <= words:
        yield text
        return
    passage: list[str] = []
    size = 0
    for paragraph in text.split("\n\n"):
        length = len(paragraph.split())
        if passage and size + length > words:
            yield "\n\n".join(passage)
            passage, size = [], 0
        if paragraph.strip():
            passage.append(paragraph.strip("\n"))
            size += length
    if passage:
        yield "\n\n".join(passage)
