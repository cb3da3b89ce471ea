"""Rows of JSON Lines files that the user names, each with its place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.json_lines import json_object, read_lines
from tasks.stage import UserError


def json_lines(path: Path, *, named_by: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a .jsonl or .jsonl.gz file with their places (FILE:LINE); blank lines are passed over.

    named_by: the parameter that names the file. Raises UserError in one line where it can't be read.
    """
    refuse_no_file(path, named_by=named_by)
    for number, row in read_lines(path, json_object, what="a JSON object in UTF-8"):
        yield f"{path}:{number}", row


def refuse_no_file(path: Path, *, named_by: str) -> None:
    """Raises UserError naming the parameter where there is no file at a path."""
    if not path.is_file():
        problem = "is a folder; expected a file" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {problem} ({named_by})")


def text_field(row: Mapping[str, Any], name: str, place: str, *, may_be_empty: bool = False) -> str:
    """A field that holds text. Raises UserError naming the place where it does not."""
    value = row.get(name)
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        problem = "is missing" if name not in row else "is empty" if value == "" else f"is {value!r:.40}"
        raise UserError(f"{place}: the field '{name}' {problem}; it must be text")
    refuse_half_characters(value, place)
    return value


def refuse_half_characters(text: str, place: str) -> None:
    """Raises UserError where a text can't be written as UTF-8: JSON can spell half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: {text[error.start]!r} is half a character (a lone surrogate)") from None
