"""A backup: one folder with the databases, MLflow's artefacts, the bytes that DVC needs, the champion and the batches.

It may be taken while the platform runs: first the databases, each as of one moment, then what they speak of, which is
only ever added to. Secrets are not in it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks import workspace
from tasks.gating.champion import FOLDER as CHAMPION
from tasks.gating.champion import read_champion
from tasks.keeping import needed
from tasks.keeping.cache import Cache
from tasks.keeping.databases import Database, databases
from tasks.keeping.manifest import Manifest, files_of, write_manifest
from tasks.provenance.held import FOLDER as LISTING
from tasks.registry import store
from tasks.reviews.batch_file import FEEDBACK
from tasks.stage import UserError

ARTIFACTS_ADDRESS = "MLFLOW_ARTIFACTS_DESTINATION"
DATABASES, ARTIFACTS, CACHE, FILES = Path("databases"), Path("artifacts"), Path("cache"), Path("workspace")
EXPERIMENTS = Path("experiments.bundle")
KEPT_FILES = (CHAMPION, FEEDBACK, workspace.LOCK, workspace.REGISTERED)
SECRETS_TOLD = "secrets (.env, var/secrets.env, var/review/secret): keep them apart"


@dataclass(frozen=True, kw_only=True)
class BackedUp:
    """A finished backup."""

    folder: Path
    manifest: Manifest

    @property
    def line(self) -> str:
        """For people: what is in it and what not."""
        held = self.manifest
        champion = f"champion {held.champion}" if held.champion else "no champion yet"
        found = ", ".join(f"{name} ({kind})" for name, kind in held.databases.items()) or "no databases yet"
        size = f"{len(held.files)} files, {held.size_bytes / 2**20:.1f} MiB"
        return f"{self.folder}: {size}; {found}; {champion}\nnot in it: {'; '.join(held.left_out)}"


def back_up(folder: Path) -> BackedUp:
    """Makes a folder that is not there yet, whole or not at all. Raises UserError where that can't be."""
    if not Path("dvc.yaml").exists():
        raise UserError("dvc.yaml: no such file; run from the project's root")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; a backup is a new folder")
    wanted = databases()
    found = [database for database in wanted if database.holds_something()]
    if not found and not workspace.LOCK.exists():
        raise UserError("there is nothing to back up yet: no database and no dvc.lock")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.absolute().parent) as scratch:
        made = Path(scratch) / "backup"
        made.mkdir(mode=0o700)
        manifest = _fill(made, found, empty=[one for one in wanted if one not in found])
        if folder.exists():
            folder.rmdir()  # it is empty
        made.rename(folder)
    return BackedUp(folder=folder, manifest=manifest)


def stamped(folder: Path, *, keep: int | None) -> BackedUp:
    """A backup in a folder of the moment's name inside `folder`; of such ones the newest `keep` stay, None: all."""
    made = back_up(folder / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}")
    older = sorted(path for path in folder.glob("20*T*Z") if (path / "manifest.json").is_file())
    for path in older[: max(0, len(older) - keep)] if keep is not None else []:
        shutil.rmtree(path)
    return made


def artifacts_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where MLflow's artefacts lie on this machine; None where that is a bucket."""
    said = environment.get(ARTIFACTS_ADDRESS) or str(store.ARTIFACTS)
    return None if "://" in said.removeprefix("file://") else Path(said.removeprefix("file://"))


def _fill(made: Path, found: Sequence[Database], *, empty: Sequence[Database]) -> Manifest:
    (made / DATABASES).mkdir()
    for database in found:
        database.dump(made / DATABASES)
    nothing = [f"{database.name}: there is nothing at {database.place}" for database in empty]
    left_out = [SECRETS_TOLD, *nothing, *_copy_artifacts(made / ARTIFACTS), *_copy_cache(made / CACHE)]
    for path in KEPT_FILES:
        _copy(path, made / FILES / path)
    _bundle(made / EXPERIMENTS)
    champion = read_champion() if CHAMPION.is_dir() else None
    files = files_of(made)
    manifest = Manifest(
        made_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        git_commit=workspace.commit(),
        lock_hash=workspace.lock_hash(),
        champion=champion.told if champion else None,
        databases={database.name: database.kind for database in found},
        left_out=tuple(left_out),
        files=files,
        size_bytes=sum((made / path).stat().st_size for path in files),
    )
    write_manifest(made, manifest)
    return manifest


def _copy(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, to)
    elif path.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)


def _copy_artifacts(to: Path) -> list[str]:
    folder = artifacts_folder()
    if folder is None:
        return [f"MLflow's artefacts: they are in {os.environ[ARTIFACTS_ADDRESS]}, which keeps them by other means"]
    _copy(folder, to)
    return []


def _copy_cache(to: Path) -> list[str]:
    """Copies what is needed of DVC's cache; what of it is nowhere, in words."""
    told = []
    try:
        wanted = needed.hashes()
    except UserError as error:
        wanted = needed.hashes(released=False)
        told.append(f"bytes of earlier versions in DVC's cache ({error})")
    cache, missing = Cache(), 0
    for md5 in wanted:
        if (path := cache.place(md5)).is_file():
            (to / md5[:2]).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / md5[:2] / md5[2:])
        else:
            missing += not md5.endswith(LISTING)
    return [*told, f"{missing} files that DVC's cache does not hold here (`dvc pull`)"] if missing else told


def _bundle(to: Path) -> None:
    """The experiments that bind versions to code and data: no clone brings them."""
    listed = subprocess.run(["git", "for-each-ref", "refs/exps"], capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout.strip():
        command = ["git", "bundle", "create", "--quiet", str(to), "--glob=refs/exps/*"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"git bundle: {done.stderr.strip().splitlines()[-1]}")
