"""The chain through the Prefect flow, as `fledgling run` starts it: what people see, what a stopped run leaves."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.registry import registry
from tests.e2e.workspace import FLEDGLING, LIMIT_S, STAGES, Done, Workspace, ended_after, succeeded, wait_for

pytestmark = pytest.mark.server

LOCAL_SERVER_S = 120  # until the flow is under way, on a busy machine


class Api:
    """Questions to a Prefect server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def find(self, what: str, **filters: Any) -> list[dict[str, Any]]:
        return list(httpx.post(f"{self.url}/{what}/filter", json=filters, timeout=30).raise_for_status().json())

    def newest_run(self) -> dict[str, Any]:
        return self.find("flow_runs", sort="START_TIME_DESC", limit=1)[0]

    def of_run(self, what: str, run: str, **more: Any) -> list[dict[str, Any]]:
        return self.find(what, flow_runs={"id": {"any_": [run]}}, **more)


@pytest.fixture(scope="module")
def run_on_server(by_flow: tuple[Workspace, Done], prefect_api: str) -> tuple[Api, str]:
    """The server, and the id of the run that made the chain from nothing."""
    api = Api(prefect_api)
    full = [run for run in api.find("flow_runs", sort="START_TIME_ASC", limit=20) if run["state_type"] == "COMPLETED"]
    return api, full[0]["id"]


def test_a_run_tells_what_it_does_and_what_it_made(by_flow: tuple[Workspace, Done]) -> None:
    workspace, done = by_flow
    printed = done.stdout
    assert f"{len(STAGES)} of {len(STAGES)} stages to run: {', '.join(sorted_as_run(printed))}" in printed
    for stage in STAGES:
        assert re.search(rf"^{stage} \| \S", printed, flags=re.MULTILINE), stage
    assert "What was made" in printed
    figures = workspace.json("metrics/evaluate.json")
    for key in ("base_test_bits_per_byte", "ngram_written_bits_per_byte", "xz_test_bits_per_byte"):
        assert f"{figures[key]:.3f}" in printed
    assert "demonstration corpus" in printed
    assert "PROFILE=tinystories" in printed
    assert "http://127.0.0.1:5000" in printed
    assert (done.stderr, "Traceback" in printed) == ("", False)
    assert workspace.processes() == []


def sorted_as_run(printed: str) -> list[str]:
    (line,) = [line for line in printed.splitlines() if " stages to run: " in line]
    names = line.partition(": ")[2].split(", ")
    assert sorted(names) == sorted(STAGES)
    return names


def test_again_it_says_at_once_that_all_is_up_to_date(by_flow: tuple[Workspace, Done]) -> None:
    started = time.monotonic()
    again = by_flow[0].fledgling("run")
    assert "Everything is up to date" in succeeded(again)
    assert "nothing was started" in again.stdout
    assert time.monotonic() - started < 60  # some 5 on a quiet machine; here two test processes share it
    assert by_flow[0].dvc("status").strip() == "Data and pipelines are up to date."


def test_each_stage_is_one_task_run_of_its_name(run_on_server: tuple[Api, str]) -> None:
    api, run = run_on_server
    found = wait_for(
        lambda: len(runs := api.of_run("task_runs", run)) > len(STAGES) and runs, limit_s=20, what="a task run a stage"
    )
    assert sorted(task["name"] for task in found) == sorted([*STAGES, "register"])
    assert {task["state_type"] for task in found} == {"COMPLETED"}
    ends = {task["name"]: (task["start_time"], task["end_time"]) for task in found}
    assert ends["prepare"][1] <= ends["validate"][0]
    assert ends["pretrain"][1] <= ends["evaluate"][0]
    assert ends["validate"][0] < ends["tokenize"][1]
    assert ends["tokenize"][0] < ends["validate"][1]  # side by side
    tags = {task["name"]: set(task["tags"]) for task in found}
    assert {"training", "compute"} <= tags["pretrain"]


def test_the_lines_of_a_stage_are_in_the_servers_log(run_on_server: tuple[Api, str]) -> None:
    api, run = run_on_server

    def lines() -> list[str]:
        wanted = {"flow_run_id": {"any_": [run]}, "task_run_id": {"is_null_": False}}
        return [str(line["message"]) for line in api.find("logs", logs=wanted, limit=200)]

    wait_for(lambda: any(line.startswith("evaluate | bits per byte") for line in lines()), limit_s=20, what="the log")
    assert any(line.startswith("pretrain | ") and "val/bits_per_byte" in line for line in lines())


def test_each_stage_leaves_a_markdown_artifact_and_pretrain_its_progress(run_on_server: tuple[Api, str]) -> None:
    api, run = run_on_server
    found = api.of_run("artifacts", run, limit=200)
    markdown = {artifact["key"]: artifact["data"] for artifact in found if artifact["type"] == "markdown"}
    assert set(markdown) == {f"stage-{stage}" for stage in STAGES} | {"model"}
    assert "val_bits_per_byte" in markdown["stage-pretrain"]
    assert "## Tasks beside their baselines" in markdown["stage-evaluate"]
    assert "peak_rss_mib" in markdown["stage-pretrain"]
    progress = [artifact for artifact in found if artifact["type"] == "progress"]
    assert ("progress-pretrain", 100.0) in [(artifact["key"], float(artifact["data"])) for artifact in progress]


def test_a_stage_that_fails_is_its_own_one_line(changeable: Workspace, prefect_api: str) -> None:
    before = {out: (changeable.folder / out).stat().st_mtime_ns for out in ("data/raw.parquet", "models/base")}
    changeable.set_params(validate__words=[100, 101], tokenize__vocabulary_size=600)

    done = changeable.fledgling("run", PREFECT_API_URL=prefect_api)

    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fledgling: validate: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert "pretrain | " not in done.stdout
    assert {out: (changeable.folder / out).stat().st_mtime_ns for out in before} == before
    assert changeable.processes() == []
    run = Api(prefect_api).newest_run()
    tasks = {task["name"]: task["state_type"] for task in Api(prefect_api).of_run("task_runs", run["id"])}
    assert (run["state_type"], tasks["validate"]) == ("FAILED", "FAILED")
    assert "COMPLETED" not in {tasks.get(name, "none") for name in ("pretrain", "evaluate", "register")}


@pytest.fixture
def stopped_in_pretrain(changeable: Workspace) -> Iterator[Any]:
    """Starts `fledgling run` on a server of its own with a new seed, and stops it in the middle of pretrain."""
    changeable.set_params(pretrain__seed=2)

    def stop(how: Any) -> tuple[int, float]:
        with ended_after(changeable.start(*FLEDGLING, "run"), changeable) as started:
            wait_for(changeable.in_the_middle_of_pretrain, limit_s=LOCAL_SERVER_S, what="two checkpoints of pretrain")
            assert changeable.processes("prefect server start")
            at = time.monotonic()
            how(started)
            code = started.ends_within(40)
            seconds = time.monotonic() - at
            wait_for(lambda: not changeable.processes(), limit_s=20, what="no process of the workspace left")
            assert "Traceback" not in started.output
            return code, seconds

    return stop


def test_ctrl_c_leaves_nothing_behind(changeable: Workspace, stopped_in_pretrain: Any) -> None:
    code, seconds = stopped_in_pretrain(lambda started: started.interrupt())
    assert code not in (0, 1)
    assert seconds < 20
    assert changeable.checkpoints()


@pytest.mark.slow
def test_after_ctrl_c_the_next_run_goes_on(
    changeable: Workspace, stopped_in_pretrain: Any, second_seed: tuple[Workspace, str]
) -> None:
    stopped_in_pretrain(lambda started: started.interrupt())

    again = changeable.fledgling("run")

    assert "pretrain | resuming after step " in succeeded(again)
    assert f" of {len(STAGES)} stages to run: pretrain, " in again.stdout
    assert changeable.weights() == second_seed[0].weights()
    assert changeable.processes() == []


@pytest.mark.slow
def test_a_stage_that_is_killed_is_tried_again_and_goes_on(
    changeable: Workspace, prefect_api: str, second_seed: tuple[Workspace, str]
) -> None:
    changeable.set_params(pretrain__seed=2)
    with ended_after(changeable.start(*FLEDGLING, "run", PREFECT_API_URL=prefect_api), changeable) as started:
        wait_for(changeable.in_the_middle_of_pretrain, limit_s=LOCAL_SERVER_S, what="two checkpoints of pretrain")
        (stage,) = changeable.processes("-m tasks.pretrain")[-1:]
        stage.send_signal(signal.SIGKILL)  # as the kernel does where memory runs out
        code = started.ends_within(LIMIT_S)

    assert (code, "Traceback" in started.output) == (0, False)
    assert started.output.count("pretrain | resuming after step ") == 1
    assert changeable.weights() == second_seed[0].weights()
    api = Api(prefect_api)
    (task,) = [found for found in api.of_run("task_runs", api.newest_run()["id"]) if found["name"] == "pretrain"]
    assert (task["state_type"], task["run_count"]) == ("COMPLETED", 2)
    attempts = {run["name"]: run["status"] for run in registry(changeable)["runs"] if "pretrain" in run["name"]}
    assert attempts == {"pretrain": "FAILED", "pretrain (attempt 2)": "FINISHED"}


def test_kill_9_of_the_flow_leaves_nothing_behind(changeable: Workspace, stopped_in_pretrain: Any) -> None:
    code, _ = stopped_in_pretrain(lambda started: os.kill(started.process.pid, signal.SIGKILL))
    assert code == -signal.SIGKILL
    assert changeable.checkpoints()


def test_a_server_that_does_not_start_is_one_line(changeable: Workspace, tmp_path: Path) -> None:
    changeable.set_params(evaluate__seed=2)
    no_folder = tmp_path / "a file"
    no_folder.write_text("")

    done = changeable.fledgling("run", PREFECT_HOME=str(no_folder))

    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fledgling: ")
    assert "`dvc repro`" in line
    assert changeable.processes() == []


def test_a_configured_server_that_is_down_is_one_line(changeable: Workspace) -> None:
    from flows.local import free_port

    changeable.set_params(evaluate__seed=2)
    started = time.monotonic()
    done = changeable.fledgling("run", PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fledgling: no Prefect server answers at PREFECT_API_URL=http://127.0.0.1:")
    assert time.monotonic() - started < 30
