"""The worker: a Prefect worker of this folder, as soon as there is a server for it."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx

from fledgling.platform.api import NAMES, POOL, answers

GOES_ON = ("release",)


def work() -> None:
    """Becomes the Prefect worker as soon as the server answers (a worker without a server gives up)."""
    api = os.environ["PREFECT_API_URL"]
    while not answers(f"{api}/health"):
        time.sleep(0.3)
    close_dead_runs(api)
    arguments = ["worker", "start", "--pool", POOL, "--type", "process", "--name", "here"]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])  # noqa: S606


def close_dead_runs(api: str) -> None:
    """Marks as crashed what ran under an earlier worker: it is dead, and would keep the one slot from the next.

    A release goes on instead: what a person approved is kept with its run.
    """
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "The platform was stopped while this ran."}
    again = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": crashed["message"]}
    asked = {"deployments": {"name": {"any_": list(GOES_ON)}}}
    resumable = {deployment["id"] for deployment in _post(f"{api}/deployments/filter", asked)}
    for run in _unfinished(api):
        is_cancelled = run["state_type"] == "CANCELLING"
        goes_on = run["deployment_id"] in resumable and not is_cancelled
        wanted = {"state": again if goes_on else crashed, "force": is_cancelled}
        _post(f"{api}/flow_runs/{run['id']}/set_state", wanted)
        told = "goes on" if goes_on else "closed as crashed"
        sys.stdout.write(f"run {run['name']}: was stopped with the platform, {told}\n")


def _unfinished(api: str) -> list[dict[str, Any]]:
    states = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    asked = {"deployments": {"name": {"any_": list(NAMES)}}, "flow_runs": {"state": states}}
    return list(_post(f"{api}/flow_runs/filter", asked))


def _post(url: str, body: Mapping[str, Any]) -> Any:
    """Sends JSON to the Prefect server, with the token that it asks of pages and programs alike."""
    api = url.partition("/api/")[0] + "/api"
    client = f"fledgling-{os.getpid()}"
    token = httpx.get(f"{api}/csrf-token", params={"client": client}, timeout=30).raise_for_status().json()["token"]
    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
    return httpx.post(url, json=body, headers=headers, timeout=30).raise_for_status().json()
