"""A part of the platform is away: what runs goes on, what is recorded is whole, what died is told as dead.

What each took, and what was lost: docs/platform.md, Outages.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fledgling.platform import watch
from flows.local import free_port
from tests.e2e.conftest import chain as chain
from tests.e2e.conftest import changeable as changeable
from tests.e2e.conftest import made as made
from tests.e2e.conftest import prefect_api as prefect_api
from tests.e2e.registry import registry
from tests.e2e.test_mlflow_server import Server, history, paused, written
from tests.e2e.workspace import FLEDGLING, LIMIT_S, Workspace, ended_after, succeeded, wait_for
from tests.platform.running import Platform, copy_project, free_ports, platform_in

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]

AWAY = ("at the start", "at the end", "all the time")  # in the middle: tests/e2e/test_mlflow_server.py


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "mlflow"
    folder.mkdir()
    made = Server(folder)
    yield made
    made.kill()


@pytest.mark.parametrize("away", AWAY)
def test_mlflow(changeable: Workspace, mlflow: Server, prefect_api: str, away: str) -> None:
    changeable.set_params(pretrain__seed=2)
    extra = {"MLFLOW_TRACKING_URI": mlflow.uri, "PREFECT_API_URL": prefect_api}
    if away == "at the end":
        mlflow.start()
    with ended_after(changeable.start(*FLEDGLING, "run", **extra), changeable) as started:
        stage = paused(changeable)
        if away == "at the start":
            mlflow.start()
        stage.resume()
        if away == "at the end":
            wait_for(lambda: not stage.is_running(), limit_s=LIMIT_S, what="the end of pretrain", every_s=0.2)
            mlflow.kill()
        code = started.ends_within(LIMIT_S)
    assert code == (0 if away == "at the start" else 1)  # the model was made; without MLflow it is not registered
    assert changeable.dvc("status").strip() == "Data and pipelines are up to date."
    if away != "at the start":
        mlflow.start()
    for _ in range(2):
        assert "version 1" in succeeded(changeable.fledgling("register", MLFLOW_TRACKING_URI=mlflow.uri))
    for name in ("train/loss", "val/bits_per_byte"):
        assert history(changeable, mlflow, name) == written(changeable, name)  # each point, and each once
    runs = registry(changeable, MLFLOW_TRACKING_URI=mlflow.uri)["runs"]
    assert {run["status"] for run in runs} == {"FINISHED"}


class Prefect:
    """`prefect server start` that is killed, and comes back with what it knew."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**kept, "PREFECT_HOME": str(self.folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
            )  # fmt: skip
        wait_for(self._answers, limit_s=300, what="the Prefect server", every_s=0.5)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def runs(self) -> list[dict[str, Any]]:
        return list(httpx.post(f"{self.api}/flow_runs/filter", json={}, timeout=30).raise_for_status().json())


@pytest.fixture
def prefect(tmp_path: Path) -> Iterator[Prefect]:
    folder = tmp_path / "prefect"
    folder.mkdir()
    made = Prefect(folder)
    made.start()
    yield made
    made.kill()


def test_prefect_in_training(changeable: Workspace, prefect: Prefect) -> None:
    changeable.set_params(pretrain__seed=2)
    with ended_after(changeable.start(*FLEDGLING, "run", PREFECT_API_URL=prefect.api), changeable) as started:
        stage = paused(changeable)
        prefect.kill()
        stage.resume()
        wait_for(lambda: not stage.is_running(), limit_s=LIMIT_S, what="the end of pretrain", every_s=0.2)
        weights = changeable.folder / "models" / "base" / "model.safetensors"
        wait_for(weights.exists, limit_s=60, what="what the stage made", every_s=0.2)
        prefect.start()
        code = started.ends_within(2 * LIMIT_S)
    assert code == 0, started.output
    (run,) = prefect.runs()
    assert run["state_type"] == "COMPLETED"
    assert changeable.dvc("status").strip() == "Data and pipelines are up to date."


def processes(folder: Path, having: str) -> list[psutil.Process]:
    return Platform(folder, {}).processes(having)


def test_a_worker_that_is_killed_ends_its_run_as_crashed_and_the_next_one_ends_well(tmp_path: Path) -> None:
    """On one machine the platform ends with its worker; started anew it closes the run."""
    with platform_in(copy_project(tmp_path)) as platform:
        run = platform.run("pipeline", registered=False)
        wait_for((tmp_path / "started").exists, limit_s=300, what="the stage", every_s=0.5)
        (worker,) = platform.processes("prefect worker start")
        worker.kill()
        assert platform.started.pop().wait(120) == 1
        assert "worker ended by itself (exit code -9)" in platform.lines
        wait_for(lambda: not platform.processes(), limit_s=60, what="nothing left", every_s=0.5)
        platform.start()
        assert platform.wait_until(run, "CRASHED", limit_s=600) == "CRASHED"
        (tmp_path / "go").touch()
        again = platform.run("pipeline", registered=False)
        assert platform.wait_until(again, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED"


def test_without_a_new_worker_the_server_ends_the_run_itself(tmp_path: Path) -> None:
    """Each service as a container has it; the worker's machine is gone and does not come back."""
    folder = copy_project(tmp_path)
    ports = free_ports()
    alone = Platform(folder, {**ports, **keys(), "PREFECT_API_URL": api_of(ports)})
    (folder / "var").mkdir()
    try:
        alone.started += [only(alone, "prefect")]
        succeeded(alone.fledgling("platform", "--only", "deploy"))
        alone.started += [only(alone, "worker")]
        run = ask(alone, "pipeline", registered=False)
        wait_for((folder / "started").exists, limit_s=300, what="the stage", every_s=0.5)
        wait_for(lambda: beats(alone, run), limit_s=120, what="a heartbeat", every_s=1)
        for process in alone.processes():
            if "prefect server" not in " ".join(process.cmdline()):
                process.kill()
        state = wait_for(lambda: ended(alone, run), limit_s=600, what="the run's end", every_s=2)
        assert (state["type"], state["message"]) == ("CRASHED", watch.DIED)
    finally:
        alone.end()


def keys() -> dict[str, str]:
    """Logins as `fledgling init-env` writes them."""
    return {
        "PREFECT_API_AUTH_STRING": "admin:of-the-tests-of-outages",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "of-the-tests-of-outages",
        "FLEDGLING_SERVE_KEYS": "of-the-tests-of-outages",
    }


def api_of(ports: dict[str, str]) -> str:
    return f"http://127.0.0.1:{ports['FLEDGLING_PREFECT_PORT']}/api"


def only(platform: Platform, service: str) -> "subprocess.Popen[bytes]":
    with (platform.folder / f"{service}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fledgling.cli", "platform", "--only", service], cwd=platform.folder,
            env=platform.environment, stdout=log, stderr=log,
        )  # fmt: skip


def client(platform: Platform) -> httpx.Client:
    user, _, password = platform.extra["PREFECT_API_AUTH_STRING"].partition(":")
    made = httpx.Client(base_url=platform.extra["PREFECT_API_URL"], auth=(user, password), timeout=30)
    token = made.get("/csrf-token", params={"client": "tests"}).raise_for_status().json()["token"]
    made.headers |= {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"}
    return made


def ask(platform: Platform, deployment: str, **parameters: Any) -> str:
    with client(platform) as made:
        found = made.get(f"/deployments/name/{deployment}/{deployment}").raise_for_status().json()
        body = {"parameters": parameters}
        return str(made.post(f"/deployments/{found['id']}/create_flow_run", json=body).raise_for_status().json()["id"])


def ended(platform: Platform, run: str) -> dict[str, Any] | None:
    with client(platform) as made:
        state: dict[str, Any] = made.get(f"/flow_runs/{run}").raise_for_status().json()["state"]
    return state if state["type"] in ("CRASHED", "COMPLETED", "FAILED") else None


def beats(platform: Platform, run: str) -> bool:
    wanted = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
    with client(platform) as made:
        events = made.post("/events/filter", json=wanted).raise_for_status().json()["events"]
    return any(event["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run}" for event in events)


def test_postgresql_restarted_under_load(platform: Platform, postgresql: Any) -> None:
    """The servers find it again, and the review page too; a run started meanwhile ends well."""
    (platform.folder / "go").touch()
    before = json.loads(json.dumps(platform.prefect("/flows/count", {})))
    run = platform.run("drift")
    postgresql.kill()
    postgresql.start()
    assert platform.wait_until(run, "COMPLETED", "FAILED", "CRASHED", limit_s=600) == "COMPLETED"
    assert platform.prefect("/flows/count", {}) == before
    for name, path in (("mlflow", "/health"), ("review", "/healthz"), ("prefect", "/api/ready")):
        address = f"{platform.address(name)}{path}"
        wait_for(lambda at=address: answers(at), limit_s=120, what=name, every_s=1)  # type: ignore[misc]
    assert platform.started[0].poll() is None


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=10).is_success
    except httpx.HTTPError:
        return False


def test_the_whole_group_is_told_to_end(tmp_path: Path) -> None:
    """As `timeout` and service managers do: not the first process alone."""
    with platform_in(copy_project(tmp_path)) as platform:
        process = platform.started[0]
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(120) in (0, 143)
        platform.started.clear()
        wait_for(lambda: not platform.processes(), limit_s=60, what="nothing left", every_s=0.5)
