"""DVC's cache on this machine as files by their hashes."""

from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.stage import UserError


class Cache:
    """The cache of this folder's repository, opened once."""

    @cached_property
    def _local(self) -> Any:
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo
        from dvc.scm import SCMError

        try:
            with Repo(".") as repo:
                return repo.cache.local
        except (NotDvcRepoError, SCMError):
            raise UserError("this folder is not under DVC; run from the project's root") from None

    @property
    def folder(self) -> Path:
        return Path(self._local.path)

    def place(self, md5: str) -> Path:
        """Where the bytes of a hash lie, or would."""
        return Path(self._local.oid_to_path(md5))

    def objects(self) -> dict[str, Path]:
        """Every file of the cache by its hash."""
        found = (path for path in self.folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file())
        return {path.parent.name + path.name: path for path in found}
