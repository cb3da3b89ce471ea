"""What a backup holds: each file with its hash, and what it was taken of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tasks.gating.champion import sha256_of
from tasks.json_lines import read_json
from tasks.stage import Params, UserError, write_text

NAME = "manifest.json"
SCHEMA_VERSION: Literal[1] = 1


class Manifest(Params):
    """databases: the kind of each; champion: the version that was it; left_out: what is not in it, and why."""

    schema_version: Literal[1] = SCHEMA_VERSION
    made_at: str  # UTC
    git_commit: str | None
    lock_hash: str | None
    champion: str | None
    databases: dict[str, str]
    left_out: tuple[str, ...]
    files: dict[str, str]  # SHA-256 by path in the backup
    size_bytes: int


def files_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder, but its manifest, by path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in found}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes it last: a folder without one is no backup."""
    write_text(folder / NAME, manifest.model_dump_json(indent=2) + "\n")


def read_checked(folder: Path) -> Manifest:
    """The manifest of a whole backup. Raises UserError where a file is missing, another one, or nobody's."""
    if not (folder / NAME).is_file():
        raise UserError(f"{folder}: no backup (it holds no {NAME}); `fledgling backup DIR` makes one")
    manifest = read_json(folder / NAME, Manifest, what="a manifest of a backup")
    wrong = _difference(manifest.files, files_of(folder))
    if wrong:
        raise UserError(f"{folder}: {wrong}; nothing was restored, take another backup")
    return manifest


def _difference(said: Mapping[str, str], found: Mapping[str, str]) -> str:
    for path in sorted({*said, *found}):
        if path not in found:
            return f"{path} is missing"
        if path not in said:
            return f"{path} is not of it"
        if said[path] != found[path]:
            return f"{path} is not what {NAME} says it is (SHA-256)"
    return ""
