"""MLflow over HTTP while the chain trains: figures as they come, an outage that stops nothing, nothing stored twice."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flows.local import free_port
from tests.e2e.registry import registry
from tests.e2e.workspace import FLEDGLING, LIMIT_S, Workspace, ended_after, from_stage_on, succeeded, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

HISTORY = """
import json, sys
from tasks.registry import store
client = store.connect()
found = client.search_runs([store.experiment_id(client)], "tags.stage = 'pretrain'")
json.dump([[one.step, one.timestamp, one.value] for one in client.get_metric_history(found[0].info.run_id, sys.argv[1])]
          if found else [], sys.stdout)
"""


class Server:
    """`mlflow server` with one worker, on a port and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        off = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                    *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"),
                    *("--artifacts-destination", str(self.folder / "artifacts")),
                ],
                cwd=self.folder, env={**kept, **off, "DO_NOT_TRACK": "true"}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(self._answers, limit_s=120, what="the MLflow server")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.uri}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a power cut would: the server and its worker."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "mlflow"
    folder.mkdir()
    found = Server(folder)
    found.start()
    yield found
    found.kill()


def history(workspace: Workspace, server: Server, name: str) -> list[list[Any]]:
    """Step, time and value of each point that the server holds of the newest run of pretrain."""
    told = workspace.run(sys.executable, "-W", "ignore", "-c", HISTORY, name, MLFLOW_TRACKING_URI=server.uri)
    succeeded(told)
    return sorted(json.loads(told.stdout))


def written(workspace: Workspace, name: str) -> list[list[Any]]:
    """The same from the file that pretrain itself wrote."""
    lines = (workspace.folder / "var" / "runs" / "pretrain" / "metrics.jsonl").read_text().splitlines()
    points = [json.loads(line) for line in lines]
    return sorted([point["step"], point["time"], point[name]] for point in points if name in point)


def paused(workspace: Workspace) -> psutil.Process:
    """The process of pretrain, stopped in the middle, so that the rest of the test is not a race."""
    wait_for(workspace.in_the_middle_of_pretrain, limit_s=120, what="two checkpoints of pretrain")
    stage: psutil.Process = workspace.processes("-m tasks.pretrain")[-1]
    stage.suspend()
    return stage


def test_figures_arrive_while_it_trains_and_an_outage_stops_nothing(
    changeable: Workspace, server: Server, prefect_api: str
) -> None:
    changeable.set_params(pretrain__seed=2)
    extra = {"MLFLOW_TRACKING_URI": server.uri, "PREFECT_API_URL": prefect_api}
    with ended_after(changeable.start(*FLEDGLING, "run", **extra), changeable) as started:
        stage = paused(changeable)
        arrived: Callable[[], Any] = lambda: history(changeable, server, "train/loss")  # noqa: E731
        seen = wait_for(arrived, limit_s=60, what="figures at the server while the stage is in its middle")
        assert seen == written(changeable, "train/loss")[: len(seen)]
        server.kill()
        stage.resume()
        code = started.ends_within(LIMIT_S)

    told = [line for line in started.output.splitlines() if "MLflow at " in line]
    assert any(line.startswith("tracking | MLflow at ") and "the chain goes on" in line for line in told)
    assert code == 1  # the model was made, and is not registered
    assert "All stages are done" in started.output
    assert "Traceback" not in started.output
    assert started.output.splitlines()[-1].startswith("fledgling: register: MLflow at ")
    assert changeable.dvc("status").strip() == "Data and pipelines are up to date."

    server.start()
    for _ in range(2):
        assert "version 1" in succeeded(changeable.fledgling("register", MLFLOW_TRACKING_URI=server.uri))
    for name in ("train/loss", "val/bits_per_byte"):
        assert history(changeable, server, name) == written(changeable, name)
    runs = registry(changeable, MLFLOW_TRACKING_URI=server.uri)["runs"]
    assert {run["status"] for run in runs} == {"FINISHED"}
    names = sorted(run["name"] for run in runs if run["tags"]["kind"] == "stage")
    assert names == sorted(from_stage_on("pretrain"))
    assert len(runs) == 1 + len(names)
