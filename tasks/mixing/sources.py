"""Examples from rows: the user's files, hub data sets, the instructions that `expand` made."""

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.mixing.declarations import FilesSource, HubSource, MixParams, RowsSource, TaskParams
from tasks.mixing.example import SPLITS, Example, Rejected, group_name, normal
from tasks.mixing.rows import BadRows, file_rows, hub_rows, rows_of
from tasks.mixing.shortening import shorten
from tasks.mixing.splits import split_of
from tasks.mixing.templates import choose, columns_of, fill, number
from tasks.sources import Row
from tasks.stage import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A row's columns, where they were read, and its split."""

    values: dict[str, str]
    origin: str
    place: str
    group: str
    split: str


def rows_examples(
    source: FilesSource | HubSource, task: TaskParams, params: MixParams, *, tokenizer: "Tokenizer"
) -> tuple[list[Example], list[Rejected], int]:
    """A source's examples, the rows kept apart, and how many good rows there were.

    Raises UserError naming task, file and line (or data set and row) of a row that can't be an example, and
    where the source yields nothing.
    """
    bad = BadRows(stop=params.bad_rows == "stop", limit_bytes=params.max_row_bytes, task=task.name)
    placed = file_rows(source, params.folder, bad) if isinstance(source, FilesSource) else hub_rows(source, task.name)
    read = list(_read(placed, source, task, params, bad))
    if not read:
        raise UserError(f"task '{task.name}': source '{source.name}' yields nothing ({_where(source, params)})")
    chosen = [row for split in SPLITS for row in _chosen(read, split, source, params)]
    texts = shorten(
        [row.values for row in chosen], source=source, tokenizer=tokenizer, context_tokens=params.context_tokens
    )
    examples = [_example(replace(row, values=values), source, task) for row, values in zip(chosen, texts, strict=True)]
    return examples, list(_kept_apart(bad, source, task)), len(read)


def _where(source: FilesSource | HubSource, params: MixParams) -> str:
    if isinstance(source, HubSource):
        return f"hub data set {source.dataset}"
    return ", ".join(str(params.folder / pattern) for pattern in source.globs)


def _read(
    placed: Iterable[tuple[Path | str, int, Row]],
    source: RowsSource,
    task: TaskParams,
    params: MixParams,
    bad: BadRows,
) -> Iterator[_Read]:
    group_of = {label: group for group, labels in source.labels.items() for label in labels}
    for file, line, row in placed:
        values = _values(file, line, row, source, bad)
        if values is None or not _label_holds(values, group_of, source, task, file, line, bad):
            continue
        group = group_name(values[source.split_by])
        yield _Read(
            values=values,
            origin=Path(file).name if isinstance(file, Path) else file,
            place=f"{file}:{line}",
            group=group,
            split=source.split or split_of(group, params.split),
        )


def _values(file: Path | str, line: int, row: Row, source: RowsSource, bad: BadRows) -> dict[str, str] | None:
    """Our columns of a row, or None where one can't be had (it is noted)."""
    values: dict[str, str] = {}
    for column, name in source.fields.items():
        if name not in row:
            there = ", ".join(map(repr, row)) or "none"
            bad.add(file, line, f"no field '{name}'; there is {there}", "missing_field")
            return None
        value = row[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            value = ", ".join(value)
        if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
            bad.add(file, line, f"field '{name}' must be text, got {type(value).__name__}", "no_text")
            return None
        if not value.strip() and column not in source.optional:
            is_answer = source.answer is not None and column in columns_of(source.answer)
            bad.add(file, line, f"field '{name}' is empty", "empty_answer" if is_answer else "empty_field")
            return None
        values[column] = value.strip()
    for column, wanted in source.patterns.items():
        match = re.search(wanted.pattern, values[wanted.column])
        values[column] = (match[1] or "").strip() if match else ""
    return values


def _label_holds(
    values: dict[str, str],
    group_of: dict[str, str],
    source: RowsSource,
    task: TaskParams,
    file: Path | str,
    line: int,
    bad: BadRows,
) -> bool:
    """Whether the label (after grouping, which is done here) is one that was declared."""
    if not group_of or task.kind != "classification" or source.answer is None:
        return True
    column = columns_of(source.answer)[0]
    if values[column] not in group_of:
        bad.add(file, line, f"label {values[column]!r} stands in no group of 'labels'", "unknown_label")
        return False
    values[column] = group_of[values[column]]
    return True


def _chosen(read: Sequence[_Read], split: str, source: RowsSource, params: MixParams) -> list[_Read]:
    """A split's rows, at most so many: by the hash of what they hold, not by their order."""
    rows = [row for row in read if row.split == split]
    limit = source.examples if split == "train" else params.evaluation_examples[split]
    if limit is None or len(rows) <= limit:
        return rows
    return heapq.nsmallest(limit, rows, key=lambda row: (number(f"{source.name} {_content(row)}"), row.place))


def _content(row: _Read) -> str:
    return json.dumps(row.values, ensure_ascii=False, sort_keys=True)


def _example(row: _Read, source: RowsSource, task: TaskParams) -> Example:
    values = row.values
    template = choose(source.templates, values, key=f"{source.name} {_content(row)}")
    if template is None:
        raise UserError(f"task '{task.name}': {row.place}: the columns of every template are empty")
    answer = fill(source.answer, values) if source.answer is not None else ""
    asked = tuple(values[name] for name in columns_of(template))
    document = values[source.document] if source.document else ""
    return Example(
        task=task.name, kind=task.kind, source=source.name, licence=source.licence, origin=row.origin,
        group=row.group, split=row.split, place=row.place,
        prompt=fill(template, values), answer=answer, document=document,
        label=answer if task.kind == "classification" else "",
        constraints=_constraints(values, source), answerable=answer != source.unanswerable,
        aspect=source.aspect or source.name,
        keys=tuple(dict.fromkeys(key for key in (normal(" ".join(asked)), normal(document)) if key)),
        asked=asked, has_answer=source.answer is not None, is_outside=True,
    )  # fmt: skip


def _constraints(values: dict[str, str], source: RowsSource) -> dict[str, Any]:
    wanted = source.constraints
    found: dict[str, Any] = {}
    if wanted.words and values[wanted.words]:
        found["words"] = [word.strip() for word in values[wanted.words].split(",") if word.strip()]
    if wanted.sentence and values[wanted.sentence]:
        found["sentence"] = values[wanted.sentence]
    if wanted.length:
        found["length"] = list(wanted.length)
    return found


def _kept_apart(bad: BadRows, source: RowsSource, task: TaskParams) -> Iterator[Rejected]:
    for entry, reason in zip(bad.found, bad.reasons, strict=True):
        place = f"{entry['file']}:{entry['line']}"
        empty = Example(
            task=task.name, kind=task.kind, source=source.name, licence=source.licence,
            origin=Path(str(entry["file"])).name, group="", split="", place=place, prompt=place, answer="",
            aspect=source.aspect or source.name, has_answer=False, is_outside=True,
        )  # fmt: skip
        yield Rejected(example=empty, reason=reason, detail=f"{place}: {entry['problem']}")


def instruction_examples(path: Path, params: MixParams) -> tuple[list[Example], list[Rejected], int]:
    """The instructions that `expand` made, all for training. The file may be empty.

    Raises UserError naming the line of a row that lacks a field.
    """
    [task] = [task for task in params.tasks if task.name == params.instructions.task]
    source = FilesSource(
        name="self-instruct", kind="files", globs=(str(path),), licence=params.instructions.licence,
        templates=params.instructions.templates, answer="{output}", split_by="instruction", split="train",
        fields={name: name for name in ("instruction", "input", "output", "origin")},
        optional=("input",), aspect="instruction",
    )  # fmt: skip
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage expand makes it (empty where it was skipped)")
    bad = BadRows(stop=params.bad_rows == "stop", limit_bytes=params.max_row_bytes, task=task.name)
    placed = ((path, line, row) for line, row in rows_of(path, bad))
    read = list(_read(placed, source, task, params, bad))
    examples = [replace(_example(row, source, task), origin=row.values["origin"]) for row in read]
    return examples, list(_kept_apart(bad, source, task)), len(read)
