"""The worker: a Prefect worker of this folder, as soon as there is a server for it."""

import hashlib
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from fledgling.platform.api import NAMES, POOL, answers, pool, send
from fledgling.platform.watch import DIED
from flows.notice import post

GOES_ON = ("release",)


def work() -> None:
    """Becomes the Prefect worker as soon as the server answers (a worker without a server gives up)."""
    api = os.environ["PREFECT_API_URL"]
    while not _is_prepared(api):
        time.sleep(0.3)
    arguments = ["worker", "start", "--pool", pool(), "--type", "process", "--name", name_of(Path.cwd())]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])  # noqa: S606


def _is_prepared(api: str) -> bool:
    """Whether what ran under an earlier worker is closed; a server that has just started may be too busy to answer."""
    try:
        if not answers(f"{api}/health"):
            return False
        if not _others(api):
            close_dead_runs(api, NAMES if pool() == POOL else (pool(),))
    except httpx.TransportError:
        return False
    return True


def name_of(folder: Path) -> str:
    """A worker's name: of its machine, or container, and its folder."""
    return f"{socket.gethostname()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"


def _others(api: str) -> bool:
    """Whether other workers are there: a run may be theirs then, and the server ends the dead ones (watch.py)."""
    wanted = {"workers": {"status": {"any_": ["ONLINE"]}}}
    answer = send(api, "POST", f"/work_pools/{pool()}/workers/filter", wanted)
    if answer.status_code == httpx.codes.NOT_FOUND:  # no pool yet
        return False
    return any(found["name"] != name_of(Path.cwd()) for found in answer.raise_for_status().json())


def close_dead_runs(api: str, deployments: Sequence[str] = NAMES) -> None:
    """Marks as crashed what ran under an earlier worker: it is dead, and would keep the one slot from the next.

    A release goes on instead: what a person approved is kept with its run.
    """
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "The platform was stopped while this ran."}
    again = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": crashed["message"]}
    asked = {"deployments": {"name": {"any_": list(GOES_ON)}}}
    resumable = {deployment["id"] for deployment in _post(api, "/deployments/filter", asked)}
    for run in _unfinished(api, deployments):
        is_cancelled = run["state_type"] == "CANCELLING"
        goes_on = run["deployment_id"] in resumable and not is_cancelled
        if run["state_type"] == "CRASHED" and not goes_on:
            continue
        wanted = {"state": again if goes_on else crashed, "force": is_cancelled or run["state_type"] == "CRASHED"}
        _post(api, f"/flow_runs/{run['id']}/set_state", wanted)
        if not goes_on:
            flow = _post(api, "/flows/filter", {"flows": {"id": {"any_": [run["flow_id"]]}}})[0]["name"]
            post(flow=flow, run=run["name"], run_id=run["id"], state=crashed["name"], why=crashed["message"])
        told = "goes on" if goes_on else "closed as crashed"
        sys.stdout.write(f"run {run['name']}: was stopped with the platform, {told}\n")


def _unfinished(api: str, deployments: Sequence[str]) -> list[dict[str, Any]]:
    """Runs that nobody ended, and those that the server itself gave up."""
    states = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING", "CRASHED"]}}
    asked = {"deployments": {"name": {"any_": list(deployments)}}, "flow_runs": {"state": states}}
    found = _post(api, "/flow_runs/filter", asked)
    return [run for run in found if run["state_type"] != "CRASHED" or run["state"]["message"] == DIED]


def _post(api: str, path: str, body: Mapping[str, Any]) -> Any:
    return send(api, "POST", path, body).raise_for_status().json()


if __name__ == "__main__":
    work()
