"""Versions in a registry as `fledgling register` leaves them, but for the model itself: what a release goes by."""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.dvc_hashes import dvc_md5
from tasks.gating.champion import ANSWERS, CANDIDATE, Champion, sha256_of
from tasks.registry import store
from tasks.registry.gated import FOLDER
from tasks.registry.versions import CANDIDATE as CANDIDATE_ALIAS
from tasks.registry.versions import CHAMPION, NAME, PREVIOUS, aliases


def make_version(scratch: Path, number: int, **tags: str) -> None:
    """Version `number` of the registry, which must be its next: the gate speaks for it beside base. tags: others."""
    client = store.connect()
    if number == 1:
        client.create_registered_model(NAME)
    run = client.create_run(store.experiment_id(client)).info.run_id
    candidate = write_candidate(
        scratch / f"gated-{number}", said_by=f"version {number}", model="aligned", model_md5=f"{number}.dir"
    )
    client.log_artifacts(run, str(scratch / f"gated-{number}"), FOLDER)
    told = {
        "model_md5": candidate.model_md5, "content_key": f"key-{number}", "dvc_lock_hash": f"lock-{number}",
        "git_commit": f"commit-{number}", "gate_decision": "promote", "gate_reasons": "every bound holds",
    }  # fmt: skip
    made = client.create_model_version(NAME, f"runs:/{run}/model", run, tags=told | tags)
    assert int(made.version) == number
    client.set_registered_model_alias(NAME, CANDIDATE_ALIAS, str(number))


def write_candidate(folder: Path, *, said_by: str, model: str, model_md5: str) -> Champion:
    """A candidate as the gate leaves one in data/gated."""
    folder.mkdir(parents=True)
    answers = folder / ANSWERS
    answers.write_text(json.dumps({"said_by": said_by}) + "\n")
    candidate = Champion(
        name=NAME, version=None, model=model, model_md5=model_md5, content_key=None, dvc_lock_hash=None,
        git_commit=None, answers_sha256=sha256_of(answers), holdout="abc", figures={"test_bits_per_byte": 1.25},
    )  # fmt: skip
    (folder / CANDIDATE).write_text(candidate.text)
    return candidate


def tags(number: int) -> dict[str, str]:
    return dict(store.connect().get_model_version(NAME, str(number)).tags)


def named() -> dict[str, Any]:
    """The champion and the one before it, by MLflow's aliases."""
    found = aliases(store.connect())
    return {alias: found.get(alias) for alias in (CHAMPION, PREVIOUS)}


GATE_STAGE = """
  gate:
    cmd: echo
    deps: [models/finetuned]
    outs: [data/gated, metrics/gate.md]
    metrics: [metrics/gate.json]
"""


def write_gate(folder: Path, *, decision: str, champion: str = "base", answers: str = "Once.") -> None:
    """What the stage gate leaves of the chain's fine-tuned model; to be taken into dvc.lock by `dvc commit`."""
    shutil.rmtree(folder / "data" / "gated", ignore_errors=True)
    md5 = dvc_md5(folder / "models" / "finetuned")
    write_candidate(folder / "data" / "gated", said_by=answers, model="finetuned", model_md5=md5)
    told = {"decision": decision, "reasons": ["the first reason", f"it is {decision}"], "champion": champion}
    (folder / "metrics" / "gate.json").write_text(json.dumps(told))
    (folder / "metrics" / "gate.md").write_text(f"# {decision}\n")
