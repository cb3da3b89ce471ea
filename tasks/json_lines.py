"""JSON and JSON Lines, as stages write and users give them: each mistake named by its file, and its line."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.stage import UserError, mistake_in

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


def read_lines(path: Path, read: Callable[[bytes], R], *, what: str) -> Iterator[tuple[int, R]]:
    """What `read` makes of each line of a .jsonl or .jsonl.gz file, with the line's number; blank ones are passed over.

    read: may raise what json and pydantic do on a line that is not `what`. Raises UserError naming that line, or the
    file where it can't be read.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _value(line, read, what=what, place=f"{path}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None


def read_json(path: Path, kind: type[M], *, what: str) -> M:
    """A file that holds one value. Raises UserError where it can't be read or is not `what`."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}") from None
    except ValidationError as error:
        raise UserError(f"{path}: not {what}: {mistake_in(error)}") from None


def json_object(line: bytes) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where it is none."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}")
    return found


def _value(line: bytes, read: Callable[[bytes], R], *, what: str, place: str) -> R:
    try:
        return read(line)
    except ValidationError as error:
        raise UserError(f"{place}: not {what}: {mistake_in(error)}") from None
    except KeyError as error:
        raise UserError(f"{place}: not {what}: {error} is missing") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{place}: not {what}: {error}") from None
