"""Where the bytes are that dvc.lock names by their hash: in DVC's cache, or in the workspace while it holds them."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.dvc_hashes import dvc_md5

FOLDER = ".dir"  # how the hash of a folder ends


class Held:
    """Looks for the bytes of outs; nothing is fetched or written."""

    @cached_property
    def _cache(self) -> Any | None:
        """DVC's local cache, or None where the folder is not under DVC, or under git no more."""
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo
        from dvc.scm import SCMError

        try:
            with Repo(".") as repo:
                return repo.cache.local
        except (NotDvcRepoError, SCMError):
            return None

    def cached(self, md5: str) -> Path | None:
        """The file of the cache that a hash names (of a folder: its listing), or None where it is not there."""
        if self._cache is None:
            return None
        path = Path(self._cache.oid_to_path(md5))
        return path if path.is_file() else None

    def listing(self, md5: str) -> dict[str, str] | None:
        """The hashes of a folder's files by their paths in it, or None where the cache does not hold its listing."""
        listing = self.cached(md5)
        if listing is None:
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}

    def files(self, path: str, md5: str) -> Mapping[str, Path] | None:
        """The files of an out by their paths in it (of a single file: its name), or None where they are not here."""
        return self._of_cache(path, md5) or _of_workspace(Path(path), md5)

    def _of_cache(self, path: str, md5: str) -> dict[str, Path] | None:
        wanted = self.listing(md5) if md5.endswith(FOLDER) else {Path(path).name: md5}
        found = {name: self.cached(one) for name, one in (wanted or {}).items()}
        held = {name: file for name, file in found.items() if file is not None}
        return held if len(held) == len(found) else None


def _of_workspace(path: Path, md5: str) -> dict[str, Path] | None:
    if not path.exists() or dvc_md5(path) != md5:
        return None
    if path.is_file():
        return {path.name: path}
    return {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
