"""The state of the working folder: git, dvc.lock, its models, what of it is registered."""

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from tasks.stage import STATE

LOCK = Path("dvc.lock")
MODELS = tuple(Path("models") / name for name in ("aligned", "finetuned", "base"))  # of the chain, the newest first
REGISTERED = STATE / "registered.json"  # what register made last


def uses_git() -> bool:
    """Whether the folder is under git."""
    return _git("rev-parse", "--git-dir") is not None


def commit() -> str | None:
    """The commit that is checked out, or None without git or before the first commit."""
    return _git("rev-parse", "HEAD")


def is_dirty() -> bool:
    """Whether a tracked file differs from the commit (dvc.lock apart: a run writes it)."""
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{LOCK}"))


def subject(commit: str) -> str | None:
    """The first line of a commit's message, or None where the commit is not here."""
    return _git("show", "--no-patch", "--format=%s", commit, "--")


def file_at(commit: str, path: Path) -> bytes | None:
    """A file of this folder as a commit holds it, or None where it holds none, or is not here."""
    try:
        done = subprocess.run(["git", "show", f"{commit}:./{path.as_posix()}"], capture_output=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    return done.stdout


def files_at(commit: str) -> Iterator[tuple[str, bytes]]:
    """Every file of this folder that a commit holds, by its path; none where the commit is not here."""
    try:
        done = subprocess.run(["git", "archive", "--format=tar", commit, "."], capture_output=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield member.name.removeprefix("./"), file.read()


def lock_hash() -> str | None:
    """SHA-256 of dvc.lock: which bytes belong to the present state of the chain."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.exists() else None


def registered() -> dict[str, Any]:
    """The model version that the present state of the chain is; empty where it is none, or not yet."""
    present = lock_hash()
    if present is None or not REGISTERED.exists():
        return {}
    told = json.loads(REGISTERED.read_text(encoding="utf-8"))
    return dict(told) if told.get("lock_hash") == present else {}


def is_registered() -> bool:
    """Whether the present state of the chain is a model version already."""
    return bool(registered())


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    return done.stdout.strip()
