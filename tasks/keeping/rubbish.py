"""What nobody needs any more: bytes of DVC's cache, checkpoints of runs that were broken off, MLflow's deleted runs.

Never what dvc.lock, a tracked file, a version with an alias or a registered version's run needs.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tasks.keeping import needed
from tasks.keeping.backup import artifacts_folder
from tasks.keeping.cache import Cache
from tasks.keeping.databases import MLFLOW, POSTGRESQL, Database, databases
from tasks.registry import store
from tasks.registry.versions import NAME, in_one_line
from tasks.stage import STATE, UserError

CHECKPOINTS = STATE / "checkpoints"
CACHE_KIND, CHECKPOINT_KIND, MLFLOW_KIND = "DVC's cache", "checkpoints", "MLflow's deleted runs and models"
SERVERS_OWN = "mlflow-artifacts:"  # an address in the folder that MLflow's server was given
KINDS = (CACHE_KIND, CHECKPOINT_KIND, MLFLOW_KIND)
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Rubbish:
    """One thing that may go. name: a hash, a folder, an id."""

    kind: str
    name: str
    size_bytes: int
    remove: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What may go, and what was not looked at, in words."""

    rubbish: tuple[Rubbish, ...]
    remarks: tuple[str, ...]


def find(*, days: float, clones: tuple[Path, ...] = ()) -> Found:
    """What may go now and is older than so many days.

    clones: the other folders that share DVC's cache. Raises UserError where what is needed can't be known.
    """
    before = time.time() - days * DAY_S
    cached, remarks = _cached(before, clones)
    return Found(rubbish=(*cached, *_checkpoints(before), *_of_mlflow(days)), remarks=tuple(remarks))


def _cached(before: float, clones: tuple[Path, ...]) -> tuple[list[Rubbish], list[str]]:
    cache = Cache()
    if missing := [str(clone) for clone in clones if not (clone / "dvc.yaml").exists()]:
        raise UserError(f"--clone {missing[0]}: no clone of the project (it holds no dvc.yaml)")
    if not cache.folder.is_relative_to(Path.cwd()) and not clones:
        return [], [f"{CACHE_KIND} is {cache.folder}, outside this folder: name who shares it with --clone"]
    wanted = needed.hashes(clones=clones)
    return [
        Rubbish(kind=CACHE_KIND, name=md5, size_bytes=path.stat().st_size, remove=partial(path.unlink, missing_ok=True))
        for md5, path in sorted(cache.objects().items())
        if md5 not in wanted and path.stat().st_mtime < before
    ], []


def _checkpoints(before: float) -> Iterator[Rubbish]:
    """Of stages that did not end: who runs them again within that time goes on from them."""
    for folder in sorted(CHECKPOINTS.glob("*/*")):
        newest = max((path.stat().st_mtime for path in (folder, *folder.rglob("*"))), default=0.0)
        if newest < before:
            yield Rubbish(
                kind=CHECKPOINT_KIND, name=str(folder), size_bytes=_size(folder), remove=partial(shutil.rmtree, folder)
            )


def _of_mlflow(days: float) -> Iterator[Rubbish]:
    """Runs and logged models that somebody deleted, which MLflow itself only hides."""
    database = next(found for found in databases() if found.name == MLFLOW)
    if not database.holds_something():
        return
    with in_one_line():
        client = store.connect()
        held = _hidden_store(database)
        versions = client.search_model_versions(f"name='{NAME}'")
        kept = {str(version.run_id) for version in versions} | {str(version.model_id) for version in versions}
        kept |= _parents(client, kept)
        age_ms = int(days * DAY_S * 1000)
        for run in sorted(set(held._get_deleted_runs(older_than=age_ms)) - kept):
            yield _hidden(held._hard_delete_run, run, held.get_run(run).info.artifact_uri)
        for model in sorted(set(held._get_deleted_logged_models(older_than=age_ms)) - kept):
            location = held.get_logged_model(model, allow_deleted=True).artifact_location
            yield _hidden(held._hard_delete_logged_model, model, location)


def _parents(client: Any, runs: set[str]) -> set[str]:
    """The chain's runs of these ones."""
    from mlflow.exceptions import MlflowException

    found = set()
    for run in runs:
        try:
            tags = client.get_run(run).data.tags
        except MlflowException:  # the id of a model, or of a run that is gone
            continue
        found |= {tags["mlflow.parentRunId"]} if "mlflow.parentRunId" in tags else set()
    return found


def _hidden_store(database: Database) -> Any:
    """MLflow's database itself: its API hides what was deleted. `mlflow gc` goes the same way and spares no run."""
    from mlflow.tracking import _get_store

    if database.kind == POSTGRESQL:
        return _get_store(database.url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
    return _get_store(f"sqlite:///{database.file.absolute()}")


def _hidden(delete: Callable[[str], None], name: str, location: str) -> Rubbish:
    folder = _folder_of(location)

    def remove() -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if folder is None:
            get_artifact_repository(location).delete_artifacts()
        else:
            shutil.rmtree(folder, ignore_errors=True)
        delete(name)

    return Rubbish(kind=MLFLOW_KIND, name=name, size_bytes=_size(folder) if folder else 0, remove=remove)


def _folder_of(location: str) -> Path | None:
    """The folder of artefacts on this machine; None where they are in a bucket (whose bytes are not counted)."""
    kept = artifacts_folder()
    if location.startswith(SERVERS_OWN):
        return kept / location.removeprefix(SERVERS_OWN).lstrip("/") if kept else None
    return None if "://" in location.removeprefix("file://") else Path(location.removeprefix("file://"))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
