"""Kept verdicts: what endpoints' judges replied, in immutable files that git tracks and DVC's stages depend on.

A run adds each reply to a file in var/judging/ as it comes. `fledgling keep-verdicts` makes of that file one in
verdicts/, named by its content, and never written again; wherever it lies, the run is replayed without a server.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks import stage
from tasks.stage import UserError

VERDICTS = Path("verdicts")
STATE = stage.STATE / "judging"
DIGITS = 16  # of the SHA-256 of a file's bytes, in its name


def kept_files(folder: Path, judge: str) -> list[Path]:
    """A judge's files of kept verdicts, checked against their names. Raises UserError for one that was changed."""
    files = sorted(folder.glob(f"{judge}.{'[0-9a-f]' * DIGITS}.jsonl"))
    for path in files:
        if path.name != _name(judge, path.read_bytes()):
            raise UserError(f"{path}: its content is not the one that it is named by; restore it with `git checkout`")
    return files


def models_in(files: Iterable[Path]) -> set[str]:
    """The models whose replies stand in these files."""
    return {str(line["request"]["model"]) for path in files for line in _lines(path)}


def keep(*, state: Path = STATE, folder: Path = VERDICTS) -> dict[Path, int]:
    """Keeps each judge's new replies; returns the files that were written, with the number of replies in each.

    Raises UserError where there is none that is not kept already.
    """
    written = {}
    for path in sorted(state.glob("*.jsonl")):
        known = {line["hash"] for kept in kept_files(folder, path.stem) for line in _lines(kept)}
        new = {line["hash"]: line for line in _lines(path) if line["hash"] not in known}
        if new:
            text = "".join(_line(new[key]) for key in sorted(new))
            file = folder / _name(path.stem, text.encode())
            stage.write_text(file, text)
            written[file] = len(new)
    if not written:
        raise UserError(f"{state}: holds no reply of a judge that is not in {folder} already")
    return written


def _line(values: dict[str, Any]) -> str:
    text = json.dumps(values, ensure_ascii=False, sort_keys=True) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # half a pair of surrogates stays the escape it came as


def _name(judge: str, content: bytes) -> str:
    return f"{judge}.{hashlib.sha256(content).hexdigest()[:DIGITS]}.jsonl"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The replies in a file; a line that a killed run left unfinished is passed over."""
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
            known = values["hash"], values["request"]["model"], values["reply"]
        except (ValueError, KeyError, TypeError):
            continue
        if all(isinstance(value, str) for value in known):
            yield values
