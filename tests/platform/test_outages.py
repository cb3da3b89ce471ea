"""A part of the platform is away: what runs goes on, what is recorded is whole, what died is told as dead.

What each took, and what was lost: docs/platform.md, Outages.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.local import free_port
from tests.e2e.conftest import chain as chain
from tests.e2e.conftest import changeable as changeable
from tests.e2e.conftest import made as made
from tests.e2e.conftest import prefect_api as prefect_api
from tests.e2e.registry import registry
from tests.e2e.test_mlflow_server import Server, history, paused, written
from tests.e2e.workspace import FLEDGLING, LIMIT_S, Workspace, ended_after, succeeded, wait_for
from tests.platform.running import Platform, platform_in

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]

PREFECT_AWAY_S = 300.0
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
        assert stage.net_connections() == []  # who trains asks no server, and so waits for none
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
    """Away for five minutes, in which the stage ends: its end can't be told until then."""
    changeable.set_params(pretrain__seed=2)
    with ended_after(changeable.start(*FLEDGLING, "run", PREFECT_API_URL=prefect.api), changeable) as started:
        stage = paused(changeable)
        assert stage.net_connections() == []
        prefect.kill()
        back_at = time.monotonic() + PREFECT_AWAY_S
        stage.resume()
        wait_for(lambda: not stage.is_running(), limit_s=LIMIT_S, what="the end of pretrain", every_s=0.2)
        weights = changeable.folder / "models" / "base" / "model.safetensors"
        wait_for(weights.exists, limit_s=60, what="what the stage made", every_s=0.2)
        time.sleep(max(0.0, back_at - time.monotonic()))
        assert started.process.poll() is None, started.output
        prefect.start()
        code = started.ends_within(2 * LIMIT_S)
    assert code == 0, started.output
    (run,) = prefect.runs()
    assert run["state_type"] == "COMPLETED"
    assert changeable.dvc("status").strip() == "Data and pipelines are up to date."


def test_training_under_a_worker_that_is_killed_is_resumed_by_the_next_run(changeable: Workspace) -> None:
    """The chain's own pretrain: crashed within ten minutes, and gone on with from its newest checkpoint."""
    changeable.set_params(pretrain__seed=2)
    with platform_in(changeable.folder) as platform:
        run = platform.run("pipeline", registered=False)
        wait_for(changeable.in_the_middle_of_pretrain, limit_s=600, what="two checkpoints of pretrain", every_s=0.05)
        killed_at = time.monotonic()
        (worker,) = platform.processes("prefect worker start")
        worker.kill()
        assert platform.started.pop().wait(120) == 1
        assert changeable.checkpoints() != []
        platform.start()
        assert platform.wait_until(run, "CRASHED", limit_s=600) == "CRASHED"
        print(f"closed as crashed after {time.monotonic() - killed_at:.0f} s")
        again = platform.run("pipeline", registered=False)
        wait_for(
            lambda: "resuming after step" in logged(platform, again), limit_s=600, what="a resumed stage", every_s=1
        )
        wait_for(lambda: not changeable.checkpoints(), limit_s=LIMIT_S, what="the end of pretrain", every_s=0.5)
        assert (changeable.folder / "models" / "base" / "model.safetensors").exists()


def logged(platform: Platform, run: str) -> str:
    asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    return "\n".join(line["message"] for line in platform.prefect("/logs/filter", asked))
