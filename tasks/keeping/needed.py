"""Which bytes of DVC's cache are needed: by dvc.lock, by tracked files, by the versions that have an alias."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.provenance.held import FOLDER, Held
from tasks.provenance.locked import find_lock
from tasks.registry import store
from tasks.registry.evidence import Lock
from tasks.registry.versions import NAME, aliases, in_one_line
from tasks.stage import UserError, read_yaml
from tasks.workspace import LOCK

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKED_IN = ("data", "sources", "verdicts", "accepted")  # where .dvc files lie, and in the root


def hashes(*, clones: tuple[Path, ...] = (), released: bool = True) -> dict[str, str]:
    """Why each hash of the cache is needed, by the hash; those of the files in a folder with the folder's.

    clones: further folders that share the cache. released: the versions with an alias too, not the workspace alone.
    Raises UserError where a version's dvc.lock is not here: then nothing may be thrown away.
    """
    found: dict[str, str] = {}
    for why, md5 in (*_of_workspaces((Path(), *clones)), *(_of_versions() if released else ())):
        found.setdefault(md5, why)
    held = Held()
    for md5, why in list(found.items()):
        if md5.endswith(FOLDER):
            for one in (held.listing(md5) or {}).values():
                found.setdefault(one, why)
    return found


def tracked(folder: Path = Path()) -> list[Path]:
    """The .dvc files: the batches of reviews, and data of the user's."""
    return sorted([*folder.glob("*.dvc"), *(path for name in TRACKED_IN for path in (folder / name).rglob("*.dvc"))])


def _of_workspaces(folders: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        yield from ((str(folder / LOCK), md5) for md5 in Lock(folder / LOCK).outs.values())
        for path in tracked(folder):
            if path.is_file():
                yield from ((str(path), str(out["md5"])) for out in read_yaml(path).get("outs", ()) if "md5" in out)


def _of_versions() -> Iterator[tuple[str, str]]:
    with in_one_line():
        client = _registry()
        named = aliases(client) if client else {}
        for number in sorted(set(named.values())):
            told = ", ".join(sorted(alias for alias, held in named.items() if held == number))
            tags = client.get_model_version(NAME, str(number)).tags if client else {}
            if tags.get("dvc_lock_hash", "none") == "none":
                continue
            if (lock := find_lock(tags)) is None:
                raise UserError(
                    f"the dvc.lock of version {number} ({told}) is not in this clone, so what it needs is not known; "
                    f"`dvc exp pull` brings it"
                )
            yield from ((f"version {number} ({told})", md5) for md5 in lock.lock.outs.values())


def _registry() -> "MlflowClient | None":
    """The registry's client, None where there is none yet."""
    return store.connect() if store.is_there() else None
