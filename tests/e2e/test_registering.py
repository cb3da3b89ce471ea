"""The model version after the chain: one for the same bytes, bound to code and data, and a way back."""

import shutil
import sys
from typing import Any

import pytest

from tests.e2e.registry import registry
from tests.e2e.workspace import STAGES, Done, Workspace, succeeded

pytestmark = pytest.mark.server  # the chain comes from the flow


@pytest.fixture(scope="module")
def registered(by_flow: tuple[Workspace, Done]) -> dict[str, Any]:
    return registry(by_flow[0])


def test_the_chains_run_holds_the_version(by_flow: tuple[Workspace, Done], registered: dict[str, Any]) -> None:
    (version,) = registered["versions"]
    runs = {run["name"] if run["tags"]["kind"] == "stage" else "chain": run for run in registered["runs"]}
    assert set(runs) == {"chain", *STAGES}
    assert {run["status"] for run in registered["runs"]} == {"FINISHED"}
    assert version["run_id"] == runs["chain"]["id"]
    assert {run["tags"].get("mlflow.parentRunId") for name, run in runs.items() if name != "chain"} == {
        version["run_id"]
    }
    assert "val/bits_per_byte" in runs["pretrain"]["metrics"]
    assert "train/loss" in runs["pretrain"]["metrics"]
    assert {"data/tokens", "data/tokenizer"} <= set(runs["pretrain"]["inputs"])
    assert "train/loss" in runs["finetune"]["metrics"]
    assert version["tags"]["model"] == "aligned"
    assert version["tags"]["model_md5"] == by_flow[0].outs()["models/aligned"]
    assert version["tags"]["demonstration"] == "true"


def test_the_version_says_how_its_tasks_came_out(by_flow: tuple[Workspace, Done], registered: dict[str, Any]) -> None:
    tags = registered["versions"][0]["tags"]
    lost = by_flow[0].json("metrics/evaluate.json")["aligned_tasks_lost"]
    assert tags["tasks_lost"] == (", ".join(lost) or "none")
    outcomes = {key.removeprefix("task_"): value for key, value in tags.items() if key.startswith("task_")}
    assert set(outcomes) == {"classification", "summarization", "translation", "assistant"}
    assert sorted(task for task, told in outcomes.items() if told.startswith("loses: ")) == lost
    assert "| classification | macro_f1 | aligned " in (by_flow[0].folder / "metrics" / "tasks.md").read_text()


def test_a_model_that_does_not_beat_the_ngram_says_so(
    by_flow: tuple[Workspace, Done], registered: dict[str, Any]
) -> None:
    workspace, done = by_flow
    figures = workspace.json("metrics/evaluate.json")
    beats = figures["aligned_written_bits_per_byte"] < figures["ngram_written_bits_per_byte"]
    assert not beats  # a model of seconds
    assert registered["versions"][0]["tags"]["beats_ngram"] == "false"
    assert registered["aliases"] == {}
    assert "no alias" in done.stdout


def test_twice_is_one_version(by_flow: tuple[Workspace, Done], registered: dict[str, Any]) -> None:
    assert "version 1" in succeeded(by_flow[0].fledgling("register"))
    again = registry(by_flow[0])
    assert [version["version"] for version in again["versions"]] == [1]
    assert len(again["runs"]) == len(registered["runs"])


def test_exp_apply_brings_params_and_lock_back(by_flow: tuple[Workspace, Done], registered: dict[str, Any]) -> None:
    workspace, _ = by_flow
    tags = registered["versions"][0]["tags"]
    wanted = {name: (workspace.folder / name).read_bytes() for name in ("params.yaml", "dvc.lock")}
    weights = workspace.weights()
    try:
        workspace.set_params(pretrain__seed=7)
        (workspace.folder / "dvc.lock").unlink()
        shutil.rmtree(workspace.folder / "models")

        workspace.dvc("exp", "apply", tags["dvc_exp"])

        assert {name: (workspace.folder / name).read_bytes() for name in wanted} == wanted
        assert workspace.weights() == weights
        assert workspace.dvc("status").strip() == "Data and pipelines are up to date."
    finally:
        for name, content in wanted.items():
            (workspace.folder / name).write_bytes(content)
        workspace.dvc("checkout")


def test_without_git_the_chain_runs_and_says_what_is_missing(changeable: Workspace, prefect_api: str) -> None:
    shutil.rmtree(changeable.folder / ".git")
    changeable.dvc("config", "--local", "core.no_scm", "true")
    changeable.set_params(evaluate__seed=2)

    done = changeable.fledgling("run", PREFECT_API_URL=prefect_api)

    assert "warning: no git repository here" in succeeded(done)
    assert f"2 of {len(STAGES)} stages to run: evaluate, gate" in done.stdout
    assert "not bound to code and data: there is no git repository here" in done.stdout
    tags = registry(changeable)["versions"][0]["tags"]
    assert tags["git_commit"] == "none"
    assert changeable.dvc("status").strip() == "Data and pipelines are up to date."


def test_a_dirty_tree_is_a_warning_and_a_tag(changeable: Workspace) -> None:
    path = changeable.folder / "tasks" / "__init__.py"
    path.write_text("# changed by hand\n")
    registered = changeable.run(sys.executable, "-m", "tasks.register")
    assert "register | uncommitted changes: the version carries the tag 'dirty'" in succeeded(registered)
    assert registry(changeable)["versions"][0]["tags"]["dirty"] == "true"
