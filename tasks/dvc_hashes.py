"""Hashes as DVC names them in dvc.lock and .dvc files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def dvc_md5(path: Path) -> str:
    """The hash that DVC gives a file, or a folder (that of its listing, as JSON)."""
    if path.is_file():
        return _md5(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return folder_md5({file.relative_to(path).as_posix(): _md5(file) for file in files})


def folder_md5(files: Mapping[str, str]) -> str:
    """The hash that DVC gives a folder. files: the hashes of its files by their paths in it."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
