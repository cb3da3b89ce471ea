"""The champion as git keeps it: champion/champion.json says which model version it is, answers.jsonl what it answered.

A candidate has the same form without the registry's part (data/gated/candidate.json): a promotion fills that in.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tasks.json_lines import read_json
from tasks.judging.kept import read_items
from tasks.judging.records import Item
from tasks.stage import Params, UserError, write_text

NAME = "fledgling"  # of the registered model
FOLDER = Path("champion")
CHAMPION, CANDIDATE, ANSWERS = "champion.json", "candidate.json", "answers.jsonl"


class Champion(Params):
    """A model with what it was measured by; version and what follows from it None for a candidate.

    model: its name in the chain (aligned); model_md5: its folder's hash as DVC names it; holdout: of the rows that
    the figures were measured on; figures: None where one was not measured.
    """

    schema_version: Literal[1] = 1
    name: str
    version: int | None
    model: str
    model_md5: str
    content_key: str | None
    dvc_lock_hash: str | None
    git_commit: str | None
    answers_sha256: str
    holdout: str
    figures: Mapping[str, float | None]

    @property
    def told(self) -> str:
        """As people know it: fledgling/3."""
        return f"{self.name}/{self.version}"

    @property
    def text(self) -> str:
        """The file: the same bytes for the same champion."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def read_champion(folder: Path = FOLDER) -> Champion | None:
    """The champion, None where there is none yet.

    Raises UserError where the file can't be read, or the answers are not the champion's: a promotion that was
    broken off.
    """
    path = folder / CHAMPION
    if _is_vacant(path):
        return None
    champion = _read(path)
    if champion.version is None:
        raise UserError(f"{path}: 'version' is null, so nothing else may stand there; `git checkout {folder}`")
    answers = folder / ANSWERS
    if not answers.exists() or sha256_of(answers) != champion.answers_sha256:
        raise UserError(
            f"{answers}: not the answers that {path.name} names; a promotion was broken off, "
            f"`fledgling promote {champion.version}` writes both again"
        )
    return champion


def read_candidate(folder: Path) -> Champion:
    """The candidate in a folder that `gate` made. Raises UserError where it can't be read."""
    return _read(folder / CANDIDATE)


def read_answers(folder: Path = FOLDER) -> list[Item]:
    """What the champion (or the candidate) answered to the hold-out prompts."""
    return read_items(folder / ANSWERS)


def write_champion(folder: Path, champion: Champion, answers: Path) -> None:
    """Writes the answers, then who gave them; killed in between, `read_champion` notices.

    Raises UserError where it has no version, or the answers are not the ones it names.
    """
    if champion.version is None:
        raise UserError("a champion needs a version; a candidate that is not registered can't be one")
    if sha256_of(answers) != champion.answers_sha256:
        raise UserError(f"{answers}: not the answers of version {champion.version}; `dvc repro gate` makes them again")
    write_text(folder / ANSWERS, answers.read_text(encoding="utf-8"))
    write_text(folder / CHAMPION, champion.text)


def clear_champion(folder: Path) -> None:
    """Leaves the place of the champion vacant, as it is before the first promotion."""
    write_text(folder / CHAMPION, json.dumps({"schema_version": 1, "version": None}, indent=2) + "\n")
    (folder / ANSWERS).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_vacant(path: Path) -> bool:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: can't be read: {error.strerror}; `git checkout {path.parent}` brings it back"
        ) from None
    except ValueError:
        raise UserError(f"{path}: not JSON; `git checkout {path.parent}` brings it back") from None
    return bool(held == {"schema_version": 1, "version": None})


def _read(path: Path) -> Champion:
    return read_json(path, Champion, what="a champion as a promotion writes it")
