"""Recomputes the hashes of a way: of dvc.lock and what it names, of the registered model, the batches, the champion."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.dvc_hashes import dvc_md5
from tasks.gating.champion import ANSWERS, CANDIDATE, CHAMPION, FOLDER, read_champion
from tasks.provenance import artifacts
from tasks.provenance.held import Held
from tasks.provenance.locked import FoundLock, find_lock, locks
from tasks.provenance.outs import check_outs, check_sources
from tasks.provenance.way import BatchFile, Check, VersionWay
from tasks.registry.versions import NAME
from tasks.stage import UserError, read_yaml

if TYPE_CHECKING:
    from mlflow import MlflowClient


def verify_version(client: "MlflowClient", way: VersionWay) -> Iterator[Check]:
    """Every hash of a version's way, computed anew from the bytes."""
    version = client.get_model_version(NAME, str(way.model.version))
    found = find_lock(version.tags)
    yield _lock(found, version.tags)
    if found is not None:
        yield from _keys(found, way)
        yield from check_outs(found, Held())
        yield from check_sources(found, way.code)
    yield _registered_model(client, way)
    yield from verify_files(file for one in way.batches for file in one.files)
    yield from _gate(client, version.run_id)
    yield from _champion(way)


def verify_files(files: Iterable[BatchFile]) -> Iterator[Check]:
    """Batch files against their manifests, and against what DVC was told to keep."""
    for one in files:
        path, kept = Path(one.file), Path(f"{one.file}.dvc")
        if not path.exists():
            yield Check(what=one.file, state="missing", detail="`dvc pull` brings it")
            continue
        yield _same(one.file, hashlib.sha256(path.read_bytes()).hexdigest(), one.sha256, "its manifest")
        if kept.exists():
            yield _same(kept.as_posix(), dvc_md5(path), str(read_yaml(kept)["outs"][0]["md5"]), "DVC")


def _same(what: str, computed: str, wanted: str, whose: str) -> Check:
    if computed == wanted:
        return Check(what=what, state="ok", detail=f"{computed[:8]}, as {whose} has it")
    return Check(what=what, state="differs", detail=f"{computed[:8]}, but {whose} has {wanted[:8]}")


def _lock(found: FoundLock | None, tags: Any) -> Check:
    if found is not None:
        return Check(what="dvc.lock", state="ok", detail=f"{found.sha256[:8]}, from {found.found}")
    wanted = str(tags.get("dvc_lock_hash", "none"))[:8]
    for where, data in locks(tags):
        if where.endswith(str(tags.get("dvc_exp_commit"))[:8]):  # that commit was made to hold it
            computed = hashlib.sha256(data).hexdigest()[:8]
            return Check(what="dvc.lock", state="differs", detail=f"{computed} in {where}; the version has {wanted}")
    return Check(what="dvc.lock", state="missing", detail=f"{wanted}: in no commit of the version's, nor here")


def _keys(found: FoundLock, way: VersionWay) -> Iterator[Check]:
    yield _same("content key", found.lock.content_key(), way.model.content_key, "the version")
    of_model = found.lock.outs.get(f"models/{way.model.model}", "none")
    yield _same("the model's hash in dvc.lock", of_model, way.model.model_md5, "the version")


def _registered_model(client: "MlflowClient", way: VersionWay) -> Check:
    """The model as MLflow would serve it."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    what = f"the model that MLflow serves as {way.model.name}/{way.model.version}"
    uri = f"models:/{way.model.name}/{way.model.version}"
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        try:
            download_artifacts(artifact_uri=uri, dst_path=scratch)
        except (MlflowException, OSError) as error:
            return Check(what=what, state="missing", detail=str(error).splitlines()[0])
        folders = [path.parent for path in Path(scratch).rglob("model.safetensors")]
        own = next((folder for folder in folders if folder.name == way.model.model), None)
        if own is None:
            return Check(what=what, state="missing", detail=f"it holds no folder {way.model.model}")
        return _same(what, dvc_md5(own), way.model.model_md5, "the version")


def _gate(client: "MlflowClient", run: str) -> Iterator[Check]:
    """The answers that become the champion's, against the candidate that names them."""
    named, answers = (artifacts.read(client, run, f"gate/{name}") for name in (CANDIDATE, ANSWERS))
    if named is not None and answers is not None:
        wanted = str(json.loads(named)["answers_sha256"])
        yield _same("gate/answers.jsonl", hashlib.sha256(answers).hexdigest(), wanted, f"gate/{CANDIDATE}")


def _champion(way: VersionWay) -> Iterator[Check]:
    """The folder champion/, where it is of this version."""
    path = FOLDER / CHAMPION
    if not path.exists():
        return
    what = f"{FOLDER}/{ANSWERS}"
    try:
        champion = read_champion(FOLDER)
    except UserError as error:
        yield Check(what=what, state="differs", detail=str(error))
        return
    if champion is not None and champion.version == way.model.version:
        yield Check(what=what, state="ok", detail=f"{champion.answers_sha256[:8]}, as {path} has it")
        yield _same(path.as_posix(), champion.model_md5, way.model.model_md5, "the version")
