"""What the gate said of a model version: tags on it, and the files that a promotion puts into champion/ on its run."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import report
from tasks.gating.champion import ANSWERS, CANDIDATE, Champion, read_candidate, sha256_of
from tasks.registry.evidence import Lock
from tasks.registry.versions import CHAMPION, NAME, aliases
from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

GATED = Path("data/gated")
DECISION, TOLD = report.METRICS / "gate.json", report.METRICS / "gate.md"
FOLDER = "gate"  # of the run's artefacts
MOST = 5_000  # characters of a tag
FROM_TAGS = ("content_key", "dvc_lock_hash", "git_commit")  # what the gate can't know of a version


def send(client: "MlflowClient", version: Any, lock: Lock) -> str | None:
    """Puts the gate's decision on a version, in the place of an earlier one; returns it.

    Nothing, and None: where the chain has no gate, where the gate judged other bytes than the version's, and for the
    champion itself, whose evidence is that of its promotion. Raises UserError where a file is not that of dvc.lock.
    """
    if str(GATED) not in lock.outs:
        return None
    for path in (GATED, DECISION, TOLD):
        lock.check(path)
    if read_candidate(GATED).model_md5 != version.tags["model_md5"]:
        log.warning("the gate judged another model than version %s: `dvc repro` judges it", version.version)
        return None
    if aliases(client).get(CHAMPION) == int(version.version):
        return None
    for path in (DECISION, TOLD, GATED / CANDIDATE, GATED / ANSWERS):
        client.log_artifact(version.run_id, str(path), FOLDER)
    found = gate_tags()
    for key, value in found.items():
        client.set_model_version_tag(NAME, version.version, key, value)
    return found["gate_decision"]


def gate_tags() -> dict[str, str]:
    """The decision, why, and beside which champion it was made; the decision last, since a promotion goes by it."""
    told = report.read_json(DECISION)
    reasons = "; ".join(told["reasons"])
    return {
        "gate_champion": str(told["champion"]),
        "gate_reasons": (reasons or "none")[:MOST],
        "gate_decision": str(told["decision"]),
    }


@contextmanager
def evidence(client: "MlflowClient", number: int) -> Iterator[tuple[Champion, Path]]:
    """A version as champion/ holds it: who it is, with its figures, and the file of its answers while it is needed.

    Raises UserError where its run does not hold them whole.
    """
    version = client.get_model_version(NAME, str(number))
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        folder = _download(client, version, Path(scratch))
        candidate = read_candidate(folder)
        if candidate.model_md5 != version.tags.get("model_md5") or not _is_whole(folder, candidate):
            raise UserError(f"{FOLDER}/ of version {number}'s run is not of one piece; `fledgling register` mends it")
        tags = {key: version.tags.get(key) for key in FROM_TAGS}
        yield candidate.model_copy(update={"name": NAME, "version": number, **tags}), folder / ANSWERS


def _download(client: "MlflowClient", version: Any, scratch: Path) -> Path:
    there_are = {Path(file.path).name for file in client.list_artifacts(version.run_id, FOLDER)}
    if missing := sorted({CANDIDATE, ANSWERS} - there_are):
        raise UserError(
            f"version {version.version} was not at the gate: its run holds no {FOLDER}/{missing[0]}; after the stage "
            "`gate`, `fledgling register` puts it there"
        )
    return Path(client.download_artifacts(version.run_id, FOLDER, str(scratch)))


def _is_whole(folder: Path, candidate: Champion) -> bool:
    return sha256_of(folder / ANSWERS) == candidate.answers_sha256
