"""The dvc.lock that a version was registered with: that of its experiment, of its commit, or the present one."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tasks import workspace
from tasks.provenance.way import Locked
from tasks.registry.evidence import Lock

NONE = "none"  # how the tags of a version that knows no better begin


@dataclass(frozen=True, kw_only=True)
class FoundLock:
    """A dvc.lock, its hash, and where it was found. is_present: it is the one of the workspace now."""

    lock: Lock
    sha256: str
    found: str
    is_present: bool

    @property
    def told(self) -> Locked:
        """It as a part of the way."""
        stages = {stage: self.lock.made(stage) for stage in self.lock.stages}
        return Locked(sha256=self.sha256, found=self.found, stages=stages)


def known(tags: Mapping[str, str], name: str) -> str | None:
    """A tag's value, or None where it says that there is none."""
    value = tags.get(name, NONE)
    return None if value.startswith(NONE) else value


def find_lock(tags: Mapping[str, str]) -> FoundLock | None:
    """The lock with the hash that the version's tags name, or None where it is not here."""
    wanted = known(tags, "dvc_lock_hash")
    for found, data in locks(tags):
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == wanted:
            lock = Lock.parse(data.decode())
            return FoundLock(lock=lock, sha256=sha256, found=found, is_present=workspace.lock_hash() == sha256)
    return None


def locks(tags: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Every dvc.lock that may be a version's, the likeliest first, with the words for where it is."""
    for tag in ("dvc_exp_commit", "git_commit"):
        commit = known(tags, tag)
        data = workspace.file_at(commit, workspace.LOCK) if commit else None
        if commit and data is not None:
            yield f"commit {commit[:8]}", data
    if workspace.LOCK.exists():
        yield "the workspace", workspace.LOCK.read_bytes()
