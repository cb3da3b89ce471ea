"""Versions in a registry as `fledgling register` leaves them, but for the model itself: what a release goes by."""

import json
from pathlib import Path
from typing import Any

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
    candidate = write_candidate(scratch / f"gated-{number}", number)
    client.log_artifacts(run, str(scratch / f"gated-{number}"), FOLDER)
    told = {
        "model_md5": candidate.model_md5, "content_key": f"key-{number}", "dvc_lock_hash": f"lock-{number}",
        "git_commit": f"commit-{number}", "gate_decision": "promote", "gate_reasons": "every bound holds",
    }  # fmt: skip
    made = client.create_model_version(NAME, f"runs:/{run}/model", run, tags=told | tags)
    assert int(made.version) == number
    client.set_registered_model_alias(NAME, CANDIDATE_ALIAS, str(number))


def write_candidate(folder: Path, number: int) -> Champion:
    """A candidate as the gate leaves one in data/gated."""
    folder.mkdir(parents=True)
    answers = folder / ANSWERS
    answers.write_text(json.dumps({"said_by": f"version {number}"}) + "\n")
    candidate = Champion(
        name=NAME, version=None, model="aligned", model_md5=f"{number}.dir", content_key=None, dvc_lock_hash=None,
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
