"""The state of the working folder: git, dvc.lock, what of it is registered."""

import hashlib
import subprocess
from pathlib import Path

from tasks.report import REGISTERED, read_json

LOCK = Path("dvc.lock")


def uses_git() -> bool:
    """Whether the folder is under git."""
    return _git("rev-parse", "--git-dir") is not None


def commit() -> str | None:
    """The commit that is checked out, or None without git or before the first commit."""
    return _git("rev-parse", "HEAD")


def is_dirty() -> bool:
    """Whether a tracked file differs from the commit (dvc.lock apart: a run writes it)."""
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{LOCK}"))


def lock_hash() -> str | None:
    """SHA-256 of dvc.lock: which bytes belong to the present state of the chain."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.exists() else None


def is_registered() -> bool:
    """Whether the present state of the chain is a model version already."""
    return lock_hash() is not None and read_json(REGISTERED).get("lock_hash") == lock_hash()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    return done.stdout.strip()
