"""A copy of what the flows need, with a Prefect server, the deployments of prefect.yaml and a worker of its own."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from fledgling.platform.api import answers
from flows.local import free_port
from tests.conftest import ROOT
from tests.e2e.workspace import wait_for

COPIED = ("flows", "tasks", "apps", "model", "prefect.yaml", "pyproject.toml", "rubric.yaml", "dvc.yaml")
NOT_OURS = ("PREFECT_", "MLFLOW_", "FLEDGLING_")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def copy_project(folder: Path) -> Path:
    """The code and the declarations; not under DVC or git."""
    for name in COPIED:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def prefect_environment(folder: Path) -> dict[str, str]:
    """A server's address, and nothing of the machine's own Prefect, MLflow or reviews."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
    return {
        **kept,
        "FLEDGLING_ROOT": str(folder),
        "FLEDGLING_DEPLOYMENT": "tests",
        "PREFECT_HOME": str(folder / "var" / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": "",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@dataclass
class Server:
    """Questions to the server, and what runs beside the test."""

    folder: Path
    environment: dict[str, str]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def api(self) -> str:
        return self.environment["PREFECT_API_URL"]

    def start(self, *arguments: str) -> None:
        with (self.folder / f"{arguments[0]}.log").open("w") as log:
            command = [sys.executable, "-m", "prefect", *arguments]
            self.processes.append(
                subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
            )

    def start_worker(self) -> None:
        self.start("worker", "start", "--pool", "fledgling", "--type", "process", "--name", "here")

    def prefect(self, *arguments: str) -> None:
        """Runs a command of Prefect's, which must succeed."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer to a GET, or to a POST where there is a body.

        Asked again where SQLite was locked (503), and where a question that changes nothing was not answered in time.
        """
        changes = body is not None and not path.endswith("/filter")

        def answer() -> httpx.Response | None:
            try:
                with httpx.Client(base_url=self.api, timeout=30) as client:
                    found = client.get(path) if body is None else client.post(path, json=body, headers=_csrf(client))
            except httpx.TimeoutException:
                if changes:
                    raise
                return None
            return None if found.status_code == 503 else found

        return wait_for(answer, limit_s=120, what=path, every_s=0.5).raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self.ask(f"/deployments/name/{name}/{name}"))

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment, the newest first."""
        asked = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC"}
        return list(self.ask("/flow_runs/filter", asked))

    def run(self, deployment: str, **parameters: Any) -> str:
        """Starts a run; its id."""
        made = self.ask(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def state(self, run: str) -> str:
        return str(self.ask(f"/flow_runs/{run}")["state_type"])

    def wait_until(self, run: str, *states: str, limit_s: float = 120) -> str:
        """Waits until a run is in one of the states, by default at its end; the state."""
        allowed = states or ENDED
        held = partial(self._state_in, run, allowed)
        return str(wait_for(held, limit_s=limit_s, what=f"{run} in {allowed}", every_s=0.5))

    def _state_in(self, run: str, allowed: tuple[str, ...]) -> str | None:
        state = self.state(run)
        return state if state in allowed else None

    def send_form(self, run: str, form: dict[str, Any]) -> str:
        """Sends the form that a run waits for; ACCEPT, or REJECT and why."""
        told = self.ask(f"/flow_runs/{run}/resume", {"run_input": form})
        return " ".join(filter(None, (told["status"], told["details"].get("reason"))))

    def says(self, run: str, text: str) -> None:
        """Waits until a run's log holds the text: lines come after the run's end too."""
        wait_for(lambda: text in self.lines(run), limit_s=30, what=f"{text!r} of {run}", every_s=0.5)

    def lines(self, run: str) -> str:
        """What a run logged, as far as it has come."""
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "\n".join(line["message"] for line in self.ask("/logs/filter", wanted))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of a name, the newest first."""
        return list(self.ask("/events/filter", {"filter": {"event": {"name": [name]}}})["events"])


def _csrf(client: httpx.Client) -> dict[str, str]:
    token = client.get("/csrf-token", params={"client": "tests"}).raise_for_status().json()["token"]
    return {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"}


@contextlib.contextmanager
def served(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """A server with everything deployed and a worker, for the length of the block."""
    server = Server(folder, environment or prefect_environment(folder))
    port = server.api.split(":")[2].removesuffix("/api")
    try:
        server.start("server", "start", "--host", "127.0.0.1", "--port", port)
        wait_for(lambda: answers(f"{server.api}/health"), limit_s=120, what="the server", every_s=0.5)
        server.prefect("work-pool", "create", "fledgling", "--type", "process")
        server.prefect("deploy", "--all")
        server.start_worker()
        yield server
    finally:
        for process in reversed(server.processes):
            process.terminate()
            try:
                process.wait(5)  # a worker takes longer than anybody has to wait for
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
