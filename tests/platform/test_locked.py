"""Every route of every server asks who is there: taken from the servers' own descriptions, not from a list of ours."""

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from fledgling import logins
from tests.platform.running import Platform

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]

METHODS = ("get", "post", "put", "patch", "delete")
# who may ask: everybody. What they answer holds nothing of anybody's
PREFECT_OPEN = {("get", "/health"), ("get", "/ready")}
MLFLOW_OPEN = ("/health", "/static", "/favicon.ico", "/api/2.0/mlflow/server-info", "/ajax-api/2.0/mlflow/server-info",
               "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")  # fmt: skip
WRONG: tuple[Mapping[str, str], ...] = (
    {"Authorization": "Basic YWRtaW46YWRtaW4="},  # admin:admin
    {"Authorization": "Basic YWRtaW46cGFzc3dvcmQxMjM0"},  # admin:password1234, MLflow's default once
    {"Authorization": "Basic %%%"},
    {"Authorization": "Bearer admin"},
)
MLFLOW_ROUTES = """
import json, os
os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
from mlflow.server.auth import create_app
from mlflow.server import app as flask
native = create_app()
found = [[method.lower(), rule.rule] for rule in flask.url_map.iter_rules() for method in rule.methods]
found += [[method.lower(), route.path] for route in native.routes for method in getattr(route, "methods", None) or ()]
print("ROUTES" + json.dumps(sorted(map(list, {tuple(one) for one in found}))))
"""


def filled(path: str) -> str:
    """A path with something in place of its parameters."""
    zero = "00000000-0000-0000-0000-000000000000"
    return re.sub(r"<[^>]*>", "1", re.sub(r"\{[^}]*\}", zero, path))


def refusals(base: str, routes: Iterator[tuple[str, str]]) -> dict[str, list[int]]:
    """What each route answers to who has no login, or one of the wrong ones in turn, where that is no refusal."""
    wrong: dict[str, list[int]] = {}
    turns = itertools.cycle(WRONG)
    with httpx.Client(base_url=base, timeout=300) as client:
        for method, path in routes:
            for headers in ({}, next(turns)):
                kind: Any = {"json": {}} if method in ("post", "put", "patch") else {}
                status = client.request(method.upper(), filled(path), headers=headers, **kind).status_code
                if status not in (401, 403):
                    wrong.setdefault(f"{method} {path}", []).append(status)
    return wrong


def test_prefect(platform: Platform) -> None:
    described = platform.prefect("/openapi.json")["paths"]
    routes = [(method, path) for path, item in described.items() for method in item if method in METHODS]
    assert len(routes) > 150
    told = [(method, path.removeprefix("/api")) for method, path in routes]
    asked = [one for one in told if one not in PREFECT_OPEN]
    assert len(asked) == len(routes) - len(PREFECT_OPEN)
    assert refusals(f"{platform.address('prefect')}/api", iter(asked)) == {}


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
def test_prefects_sockets(platform: Platform, path: str) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    address = platform.address("prefect").replace("http", "ws", 1)
    said = []
    with connect(f"{address}{path}", subprotocols=[Subprotocol("prefect")], open_timeout=30) as socket:
        socket.send(json.dumps({"type": "auth", "token": "admin:admin"}))
        with contextlib.suppress(ConnectionClosed):
            while True:
                said.append(json.loads(socket.recv(timeout=30))["type"])
    assert "auth_success" not in said


def mlflow_routes(platform: Platform) -> list[tuple[str, str]]:
    """What MLflow's application with its login knows: of Flask and of FastAPI."""
    extra = {
        "MLFLOW_AUTH_CONFIG_PATH": str(platform.folder / "var" / "mlflow" / "login.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": platform.logins[logins.MLFLOW_USER],
        "MLFLOW_AUTH_ADMIN_PASSWORD": platform.logins[logins.MLFLOW_PASSWORD],
        logins.MLFLOW_KEY: platform.logins[logins.MLFLOW_KEY],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MLFLOW_ROUTES], cwd=platform.folder, env={**os.environ, **extra},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return [(method, path) for method, path in json.loads(done.stdout.partition("ROUTES")[2])]


def test_mlflow(platform: Platform) -> None:
    routes = [one for one in mlflow_routes(platform) if one[0] in METHODS]
    assert len(routes) > 150
    asked = [(method, path) for method, path in routes if not path.startswith(MLFLOW_OPEN)]
    assert refusals(platform.address("mlflow"), iter(asked)) == {}


def test_who_has_the_login_is_in(platform: Platform) -> None:
    user, password = platform.logins[logins.MLFLOW_USER], platform.logins[logins.MLFLOW_PASSWORD]
    with httpx.Client(base_url=platform.address("mlflow"), auth=(user, password), timeout=60) as client:
        assert client.get("/api/2.0/mlflow/experiments/get?experiment_id=0").status_code == 200
        evil = {"Host": "evil.example"}
        assert client.get("/api/2.0/mlflow/experiments/get?experiment_id=0", headers=evil).status_code == 403
        from_elsewhere = client.post(
            "/api/2.0/mlflow/experiments/create", json={"name": "x"}, headers={"Origin": "https://evil.example"}
        )
        assert from_elsewhere.status_code == 403
    assert platform.prefect("/admin/version")


def test_pages_of_other_sites_may_not_ask_prefect(platform: Platform) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{platform.address('prefect')}/api/flows/", headers=headers, timeout=30)
    assert "access-control-allow-origin" not in answer.headers


def test_a_service_is_given_no_secret_but_its_own(platform: Platform) -> None:
    needed = {"mlflow server": (logins.MLFLOW_PASSWORD, logins.MLFLOW_KEY), "apps.start": (logins.PREFECT,)}
    for having, names in needed.items():
        for process in platform.processes(having):
            surroundings = process.environ()
            held = {name for name in (*logins.NAMES, "FLEDGLING_REVIEW_DATABASE") if name in surroundings}
            assert held <= {*names, logins.MLFLOW_USER}, having
