"""A worker is killed: its run ends as crashed, told by the next worker or by the server itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fledgling.platform import watch
from tests.e2e.workspace import succeeded, wait_for
from tests.platform.running import Platform, copy_project, free_ports, platform_in

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]


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


@contextmanager
def client(platform: Platform) -> Iterator[httpx.Client]:
    user, _, password = platform.extra["PREFECT_API_AUTH_STRING"].partition(":")
    with httpx.Client(base_url=platform.extra["PREFECT_API_URL"], auth=(user, password), timeout=30) as made:
        token = made.get("/csrf-token", params={"client": "tests"}).raise_for_status().json()["token"]
        made.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"})
        yield made


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


def test_the_whole_group_is_told_to_end(tmp_path: Path) -> None:
    """As `timeout` and service managers do: not the first process alone."""
    with platform_in(copy_project(tmp_path)) as platform:
        process = platform.started[0]
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(120) in (0, 143)
        platform.started.clear()
        wait_for(lambda: not platform.processes(), limit_s=60, what="nothing left", every_s=0.5)
