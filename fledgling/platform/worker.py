"""The worker: a Prefect worker of this folder, as soon as there is a server for it."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx

from fledgling.platform.api import DEPLOYMENTS, POOL, answers


def work() -> None:
    """Becomes the Prefect worker as soon as the server answers (a worker without a server gives up)."""
    api = os.environ["PREFECT_API_URL"]
    while not answers(f"{api}/health"):
        time.sleep(0.3)
    _close_dead_runs(api)
    arguments = ["worker", "start", "--pool", POOL, "--type", "process", "--name", "here"]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])  # noqa: S606


def _close_dead_runs(api: str) -> None:
    """Marks as crashed what ran under an earlier worker: it is dead, and would keep the one slot from the next."""
    found = _post(
        f"{api}/flow_runs/filter",
        {
            "deployments": {"name": {"any_": [name.partition("/")[2] for name in DEPLOYMENTS]}},
            "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
        },
    )
    for run in found:
        state = {"type": "CRASHED", "name": "Crashed", "message": "The platform was stopped while this ran."}
        _post(f"{api}/flow_runs/{run['id']}/set_state", {"state": state, "force": run["state_type"] == "CANCELLING"})
        sys.stdout.write(f"run {run['name']}: was stopped with the platform, closed as crashed\n")


def _post(url: str, body: Mapping[str, Any]) -> Any:
    """Sends JSON to the Prefect server, with the token that it asks of pages and programs alike."""
    api = url.partition("/api/")[0] + "/api"
    client = f"fledgling-{os.getpid()}"
    token = httpx.get(f"{api}/csrf-token", params={"client": client}, timeout=30).raise_for_status().json()["token"]
    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
    return httpx.post(url, json=body, headers=headers, timeout=30).raise_for_status().json()
