"""Which model is meant, and its folder on this machine: of the registry, downloaded once, or of the workspace."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.dvc_hashes import dvc_md5
from tasks.registry import store
from tasks.registry.versions import NAME, aliases, in_one_line, number_of, registry
from tasks.stage import STATE, UserError
from tasks.workspace import MODELS

if TYPE_CHECKING:
    from mlflow import MlflowClient

DOWNLOADED = STATE / "serving"
KEPT = 6  # downloaded versions; those that were used last
NEEDED = ("model.safetensors", "config.json", "tokenizer.json")
# by the names of torch, pickle, joblib, numpy, keras: reading one may run what is written in it
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz", ".h5", ".keras", ".dill")
_OF_REGISTRY = re.compile(rf"models:/{NAME}[@/](.+)")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model that can be served. version: its number in the registry as text, or the name of its folder."""

    name: str
    version: str
    folder: Path
    aliases: tuple[str, ...]
    model_md5: str  # of the folder, as DVC names it

    @property
    def told(self) -> str:
        """As people know it: fledgling/3."""
        return f"{self.name}/{self.version}"


def is_folder(reference: str) -> bool:
    """Whether a folder is meant: what has a slash, or is one here with a model in it (champion/ is none)."""
    return "/" in reference or (Path(reference) / NEEDED[0]).exists()


def find(reference: str) -> Served:
    """The model of a reference: an alias (champion), a number, models:/fledgling@champion, or a folder.

    Raises UserError where there is no such model, where its files are not there, and where a pickle lies among them.
    """
    meant = _OF_REGISTRY.fullmatch(reference)
    if meant is None and is_folder(reference):
        folder = checked(Path(reference))
        return Served(
            name=NAME, version=folder.resolve().name, folder=folder, aliases=(), model_md5=dvc_md5(folder)
        )  # fmt: skip
    with in_one_line():
        client = registry()
        number = number_of(client, meant[1] if meant else reference)
        named = tuple(sorted(alias for alias, held in aliases(client).items() if held == number))
        folder = _downloaded(client, number)
    return Served(name=NAME, version=str(number), folder=folder, aliases=named, model_md5=dvc_md5(folder))


def numbers(wanted: Iterable[str]) -> dict[str, str]:
    """The version that each of some aliases is now, those that are set. Raises UserError where the registry is away."""
    with in_one_line():
        named = aliases(registry())
    return {alias: str(named[alias]) for alias in wanted if alias in named}


def checked(folder: Path) -> Path:
    """The folder, where it holds a model that may be read. Raises UserError with one line where not."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a model is an alias, a number of the registry, or a folder")
    pickles = sorted(path.name for path in folder.rglob("*") if path.suffix.lower() in PICKLES)
    if pickles:
        raise UserError(
            f"{folder}: holds {pickles[0]}, which may run code when it is read; only safetensors and JSON are allowed"
        )
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder}: holds no {missing[0]}; a model folder has {', '.join(NEEDED)}")
    return folder


def _downloaded(client: "MlflowClient", number: int) -> Path:
    """The model folder of a version; downloaded whole or not at all, and found there the next time."""
    made = client.get_model_version(NAME, str(number))
    key = f"{store.tracking_uri()} {NAME} {number} {made.creation_timestamp}"
    kept = DOWNLOADED / f"{number}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    if not kept.is_dir():
        DOWNLOADED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=DOWNLOADED) as scratch:
            _move(download(number, Path(scratch)), kept)
    os.utime(kept)
    _forget_old(kept)
    return checked(kept)


def download(number: int, scratch: Path) -> Path:
    """Fetches a registered version's artefacts; returns the newest model's folder among them."""
    from mlflow.artifacts import download_artifacts

    download_artifacts(artifact_uri=f"models:/{NAME}/{number}", dst_path=str(scratch))
    order = [folder.name for folder in MODELS]
    found = [path.parent for path in sorted(scratch.rglob("model.safetensors"))]
    found.sort(key=lambda folder: order.index(folder.name) if folder.name in order else len(order))
    if not found:
        raise UserError(f"version {number} of '{NAME}' holds no model folder (model.safetensors)")
    return found[0]


def _move(made: Path, to: Path) -> None:
    try:
        made.rename(to)
    except OSError:  # another process was a moment faster
        if not to.is_dir():
            raise


def _forget_old(used: Path) -> None:
    """Removes the downloads that were used longest ago."""
    there_are = sorted((path for path in DOWNLOADED.glob("[0-9]*-*") if path != used), key=lambda path: -_used(path))
    for path in there_are[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
