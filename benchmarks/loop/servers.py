"""The platform of a workspace, and what a person would look for and click in Prefect's pages, by its API."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from benchmarks.loop.workspace import Workspace
from flows.chain import UNCHANGED

READY_S, ENDED_S, LOOK_EVERY_S = 180.0, 60.0, 3.0
BUSY_TIMES = 10
RUN_S = 3600.0  # a chain's run on a busy machine


class Platform:
    """A running platform. api: Prefect's address; mlflow: the environment of a command that speaks to its MLflow."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.api = f"http://127.0.0.1:{environment['FLEDGLING_PREFECT_PORT']}/api"
        self.mlflow = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{environment['FLEDGLING_MLFLOW_PORT']}"}
        self._prefect = httpx.Client(base_url=self.api, timeout=60)

    def start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        """A run of a deployment, by its name."""
        found = self._ask("GET", f"/deployments/name/{deployment}")
        made = self._ask("POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return UUID(made["id"])

    def runs(self, flow: str, *, after: float) -> list[dict[str, Any]]:
        """The runs of a flow that were made since (Unix time), the first made first."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(after))
        wanted = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"expected_start_time": {"after_": since}}}
        return list(self._ask("POST", "/flow_runs/filter", {**wanted, "sort": "EXPECTED_START_TIME_ASC"}))

    def run_of(self, flow: str, *, after: float) -> UUID:
        """The first run of a flow since; waits until there is one."""
        return UUID(_until(lambda: self.runs(flow, after=after), f"a run of {flow}")[0]["id"])

    def wait(self, run: UUID, *states: str) -> dict[str, Any]:
        """The run when it is in one of the states. Raises RuntimeError where it ends in another one."""

        def reached() -> dict[str, Any] | None:
            found = dict(self._ask("GET", f"/flow_runs/{run}"))
            kind, name = found["state"]["type"], found["state"]["name"]
            if kind in states or name in states:
                return found
            if kind in ("FAILED", "CRASHED", "CANCELLED", "COMPLETED"):
                raise RuntimeError(f"{found['name']} ended as {name}: {found['state'].get('message')}")
            return None

        return dict(_until(reached, f"run {run} to be {' or '.join(states)}", limit_s=RUN_S))

    def stages(self, run: UUID) -> list[str]:
        """The stages that a flow's run began, without those that turned out to be up to date."""
        wanted = {"flow_runs": {"id": {"any_": [str(run)]}}, "sort": "EXPECTED_START_TIME_ASC"}
        unchanged = self._unchanged(run)
        names = [task["name"] for task in self._ask("POST", "/task_runs/filter", wanted)]
        return [name for name in names if name not in unchanged]

    def _unchanged(self, run: UUID) -> set[str]:
        wanted = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "sort": "TIMESTAMP_ASC"}
        messages: list[str] = []
        while lines := self._ask("POST", "/logs/filter", {**wanted, "limit": 200, "offset": len(messages)}):
            messages += [line["message"] for line in lines]
        return {message.removesuffix(f" | {UNCHANGED}") for message in messages if message.endswith(UNCHANGED)}

    def approve(self, run: UUID, *, by: str) -> None:
        """The click: the form of a release that waits, sent as its page sends it."""
        self.wait(run, "Suspended", "Paused", "PAUSED")
        form = {"decision": "approve", "by": by, "comment": "the driven loop"}
        answer = self._ask("POST", f"/flow_runs/{run}/resume", {"run_input": form})
        if answer["status"] != "ACCEPT":
            raise RuntimeError(f"the approval was not taken: {answer}")
        self.wait(run, "COMPLETED")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._prefect.request(method, path, json=body, headers=self._csrf())
        for _ in range(BUSY_TIMES):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(LOOK_EVERY_S)  # on SQLite, while something else is written
            answer = self._prefect.request(method, path, json=body, headers=self._csrf())
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def _csrf(self) -> dict[str, str]:
        client = "the-driven-loop"
        answer = self._prefect.get("/csrf-token", params={"client": client})
        token = answer.json()["token"] if answer.is_success else ""
        return {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}


@contextlib.contextmanager
def platform_of(workspace: Workspace, log: Path) -> Iterator[Platform]:
    """`fledgling platform` in the workspace, on free ports, until the block ends; its lines go into `log`."""
    names = ("START", "PREFECT", "MLFLOW", "REVIEW", "SERVE")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    own = {f"FLEDGLING_{name}_PORT": str(port) for name, port in ports.items()} | {"FLEDGLING_PLATFORM_OPEN": "true"}
    environment = workspace.environment(own)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "fledgling.cli", "platform"], cwd=workspace.folder, env=environment,
            stdout=lines, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _until(lambda: _is_ready(process, log), "the platform", limit_s=READY_S)
        yield Platform(own)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDED_S)
        process.kill()


def _is_ready(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the platform ended: see {log}")
    return "Ctrl+C stops them" in log.read_text(encoding="utf-8", errors="replace")


def _until(look: Callable[[], Any], what: str, *, limit_s: float = RUN_S) -> Any:
    """What `look` finds, as soon as it finds anything. Raises RuntimeError where that takes too long."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(LOOK_EVERY_S)
    raise RuntimeError(f"waited {limit_s:.0f} s for {what}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
