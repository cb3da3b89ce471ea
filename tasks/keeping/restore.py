"""A backup put back into a platform that holds nothing yet."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tasks import workspace
from tasks.gating.champion import CHAMPION, FOLDER
from tasks.keeping.backup import ARTIFACTS, CACHE, DATABASES, EXPERIMENTS, FILES, artifacts_folder
from tasks.keeping.cache import Cache
from tasks.keeping.databases import Database, databases
from tasks.keeping.manifest import Manifest, read_checked
from tasks.registry import store
from tasks.reviews.batch_file import FEEDBACK, SUFFIX
from tasks.stage import UserError

EMPTY_FIRST = "a backup is restored into an empty platform only (a fresh clone, empty databases)"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put back. remarks: what a person still has to do."""

    manifest: Manifest
    remarks: tuple[str, ...]

    @property
    def line(self) -> str:
        """For people."""
        held = self.manifest
        champion = f"champion {held.champion}; `fledgling serve` serves it" if held.champion else "no champion"
        return "\n".join([f"restored {len(held.files)} files of {held.made_at}: {champion}", *self.remarks])


def restore(folder: Path) -> Restored:
    """Puts everything back that a backup holds, and checks out what dvc.lock names.

    Raises UserError where the backup is not whole, or anything of a platform is here already; then nothing was done.
    """
    manifest = read_checked(folder)
    wanted = _matching(manifest)
    _refuse_what_is_there(wanted)
    _put_cache(folder / CACHE)
    if (artifacts := artifacts_folder()) is not None and (folder / ARTIFACTS).is_dir():
        shutil.copytree(folder / ARTIFACTS, artifacts, dirs_exist_ok=True)
    if (folder / FILES).is_dir():
        shutil.copytree(folder / FILES, Path(), dirs_exist_ok=True)
    for database in wanted:
        database.restore(folder / DATABASES / database.copy_name)
    store.follow_the_folder()
    return Restored(manifest=manifest, remarks=(*_fetch(folder / EXPERIMENTS), *_check_out(), *_commit(manifest)))


def _matching(manifest: Manifest) -> list[Database]:
    """The databases that copies go to. Raises UserError where one is of another kind here."""
    here = {database.name: database for database in databases()}
    for name, kind in manifest.databases.items():
        if name not in here or here[name].kind != kind:
            now = here[name].kind if name in here else "in MLflow's own database"
            raise UserError(
                f"the backup's database '{name}' is {kind}, and here it is {now}; set its address as it was"
            )
    return [here[name] for name in manifest.databases]


def _refuse_what_is_there(wanted: list[Database]) -> None:
    for database in wanted:
        if database.holds_something():
            raise UserError(f"{database.place}: holds something already; {EMPTY_FIRST}")
    artifacts = artifacts_folder()
    there = [path for path in (workspace.LOCK, workspace.REGISTERED) if path.exists()]
    there += sorted(FEEDBACK.glob(f"*{SUFFIX}"))
    there += [artifacts] if artifacts and artifacts.is_dir() and any(artifacts.iterdir()) else []
    champion = FOLDER / CHAMPION
    there += [champion] if champion.exists() and '"model_md5"' in champion.read_text(encoding="utf-8") else []
    if there:
        raise UserError(f"{there[0]}: is here already; {EMPTY_FIRST}")


def _put_cache(folder: Path) -> None:
    cache = Cache()
    for path in sorted(folder.glob("??/*")):
        to = cache.place(path.parent.name + path.name)
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            partial = to.with_name(f"{to.name}.partial")
            shutil.copyfile(path, partial)
            partial.replace(to)


def _fetch(bundle: Path) -> list[str]:
    if not bundle.exists():
        return []
    command = ["git", "fetch", "--quiet", str(bundle), "refs/exps/*:refs/exps/*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else ["the experiments of registered versions could not be fetched into git"]


def _check_out() -> list[str]:
    """The workspace as dvc.lock and the .dvc files name it."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "checkout", "--force", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else ["`dvc checkout` could not bring everything back; `dvc pull` may"]


def _commit(manifest: Manifest) -> list[str]:
    now = workspace.commit()
    if manifest.git_commit in (None, now):
        return []
    return [f"the backup is of commit {manifest.git_commit}, this clone is at {now}: `git checkout` that one"]
