"""PostgreSQL is killed and started again while MLflow, Prefect and a run ask it."""

import itertools
import threading
from typing import Any

import httpx
import pytest

from fledgling import logins
from tests.e2e.workspace import wait_for
from tests.platform.running import Platform

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]


class Load:
    """Logs points to MLflow and makes variables in Prefect, one after the other, until it is told to end."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._log, self._make)]
        self.run_id = str(mlflow_asks(platform, "runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"])
        self.points: list[int] = []  # what MLflow said it has
        self.names: list[str] = []  # what Prefect said it has
        self.refused = 0

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _log(self) -> None:
        for step in itertools.count():
            if self._over.is_set():
                return
            point = {"run_id": self.run_id, "key": "load", "value": step, "timestamp": step, "step": step}
            try:
                mlflow_asks(self._platform, "runs/log-metric", point)
                self.points.append(step)
            except httpx.HTTPError:
                self.refused += 1

    def _make(self) -> None:
        for number in itertools.count():
            if self._over.is_set():
                return
            try:
                self._platform.prefect("/variables/", {"name": f"load_{number}", "value": number})
                self.names.append(f"load_{number}")
            except httpx.HTTPError:
                self.refused += 1

    def is_on(self, more: int) -> bool:
        return min(len(self.points), len(self.names)) >= more

    def held(self) -> list[int]:
        """The steps that MLflow has."""
        query = f"metrics/get-history?run_id={self.run_id}&metric_key=load&max_results=25000"
        return [int(one.get("step", 0)) for one in mlflow_asks(self._platform, query)["metrics"]]


def mlflow_asks(platform: Platform, path: str, body: Any = None) -> Any:
    auth = (platform.logins[logins.MLFLOW_USER], platform.logins[logins.MLFLOW_PASSWORD])
    address = f"{platform.address('mlflow')}/api/2.0/mlflow/{path}"
    how: dict[str, Any] = {"auth": auth, "timeout": 60}
    answer = httpx.get(address, **how) if body is None else httpx.post(address, json=body, **how)
    return answer.raise_for_status().json()


def test_postgresql_restarted_under_load(platform: Platform, postgresql: Any) -> None:
    """A run ends well meanwhile, and what was said to be kept is kept, each point once."""
    (platform.folder / "go").touch()
    before = platform.prefect("/flows/count", {})
    with Load(platform) as load:
        wait_for(lambda: load.is_on(10), limit_s=300, what="a load", every_s=0.1)
        run = platform.run("drift")
        postgresql.kill()
        postgresql.start()
        reached = min(len(load.points), len(load.names))
        wait_for(lambda: load.is_on(reached + 10), limit_s=300, what="the load after it", every_s=0.1)
        assert platform.wait_until(run, "COMPLETED", "FAILED", "CRASHED", limit_s=600) == "COMPLETED"
    print(f"{len(load.points)} points and {len(load.names)} variables were accepted, {load.refused} requests refused")
    held = load.held()
    assert len(held) == len(set(held))
    assert set(load.points) <= set(held)
    asked = {"variables": {"name": {"like_": "load_"}}}
    assert platform.prefect("/variables/count", asked) >= len(load.names)
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
