"""The platform with its real servers: ready, closed to others, gone without a trace however it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from fledgling import logins
from fledgling.platform.api import DEPLOYMENTS
from flows.local import free_port
from tests.e2e.workspace import wait_for
from tests.platform.running import copy_project, free_ports

ROOT = Path(__file__).resolve().parents[2]
STAGES = """
stages:
  wait:
    cmd: python -c "import pathlib, time; pathlib.Path('started').touch(); time.sleep(600)"
    outs: [never]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the platform needs, with one stage that waits; its servers' databases are its own."""
    return copy_project(tmp_path_factory.mktemp("project"), stages=STAGES)


@pytest.fixture
def environment() -> dict[str, str]:
    """Ports that nobody uses, and nothing of the machine's own Prefect or MLflow."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, **free_ports(), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fledgling.cli", "platform", *arguments]


def left_behind(project: Path) -> list[psutil.Process]:
    """The processes that live in the project's folder or were started for it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(project) or process.environ().get("FLEDGLING_ROOT") == str(project):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def serve(project: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Starts the platform, waits until it says that it is ready; whatever is left is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []
    lines = tmp_path / "lines.txt"

    def start() -> tuple[subprocess.Popen[bytes], Path]:
        with lines.open("wb") as out:
            started.append(subprocess.Popen(command(), cwd=project, env=environment, stdout=out, stderr=out))
        ready = f"  Prefect http://127.0.0.1:{environment['FLEDGLING_PREFECT_PORT']}  MLflow http://"
        wait_for(
            lambda: ready in lines.read_text() or started[0].poll() is not None, limit_s=620, what="ready", every_s=0.2
        )
        assert ready in lines.read_text()
        return started[0], lines

    yield start
    for process in started:
        process.kill()
        process.wait()
    for process in left_behind(project):
        process.kill()


@pytest.mark.server
@pytest.mark.timeout(900)
def test_check_starts_everything_and_leaves_nothing(project: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command("--check"), cwd=project, env=environment, capture_output=True, text=True, timeout=680)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all ready after" in done.stdout
    assert "deployed pipeline/pipeline, " in done.stdout
    secrets = project / "var" / "secrets.env"
    assert secrets.stat().st_mode & 0o777 == 0o600
    made = logins.kept(secrets)
    assert set(made) == set(logins.NAMES)
    assert f"MLflow asks for: user admin, password {made[logins.MLFLOW_PASSWORD]}" in done.stdout
    assert left_behind(project) == []
    assert (project / "var" / "prefect" / "prefect.db").exists()
    assert (project / "var" / "mlflow" / "mlflow.db").exists()
    assert (project / "var" / "review" / "review.db").exists()
    assert not (project / "var" / "platform.json").exists()


@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_servers_are_as_told(serve: Callable[[], Any], environment: dict[str, str], project: Path) -> None:
    process, lines = serve()
    prefect = f"http://127.0.0.1:{environment['FLEDGLING_PREFECT_PORT']}/api"
    mlflow = f"http://127.0.0.1:{environment['FLEDGLING_MLFLOW_PORT']}"
    made = logins.kept(project / "var" / "secrets.env")
    user, _, password = made[logins.PREFECT].partition(":")
    deployment = httpx.get(f"{prefect}/deployments/name/pipeline/pipeline", auth=(user, password)).json()
    assert deployment["work_pool_name"] == "fledgling"
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]
    step = {"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}
    assert deployment["pull_steps"] == [step]
    settings = httpx.get(f"{prefect}/admin/settings", auth=(user, password)).json()
    assert settings["server"]["analytics_enabled"] is False
    assert settings["results"]["default_serializer"] == "json"
    evil = {"Host": "evil.example"}
    assert httpx.get(f"{mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0", headers=evil).status_code == 403
    forged = httpx.post(f"{prefect}/flows/", json={"name": "forged"}, auth=(user, password))
    assert forged.status_code == 403  # no CSRF token
    told = "".join(line for line in lines.read_text().splitlines() if "asks for" not in line and "ask for" not in line)
    assert all(secret not in told for secret in made.values() if secret != "admin")
    open_to_all = [
        connection.laddr
        for found in left_behind(project)
        for connection in found.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip != "127.0.0.1"
    ]
    assert open_to_all == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Traceback" not in lines.read_text()
    assert left_behind(project) == []


@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_ends_with_the_platform(
    ending: signal.Signals, serve: Callable[[], Any], environment: dict[str, str], project: Path
) -> None:
    process, _ = serve()
    (project / "started").unlink(missing_ok=True)
    made = logins.kept(project / "var" / "secrets.env")
    _start_a_run(f"http://127.0.0.1:{environment['FLEDGLING_PREFECT_PORT']}/api", login=made[logins.PREFECT])
    wait_for((project / "started").exists, limit_s=120, what="the worker runs the stage", every_s=0.2)
    process.send_signal(ending)
    assert process.wait(120) == (0 if ending == signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: left_behind(project) == [], limit_s=60, what="no process left", every_s=0.2)


def _start_a_run(api: str, *, login: str) -> None:
    """Asks for a run of the deployment as the pages do: with the login and a CSRF token."""
    user, _, password = login.partition(":")
    with httpx.Client(base_url=api, auth=(user, password), timeout=30) as client:
        token = client.get("/csrf-token", params={"client": "test"}).json()["token"]
        headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "test"}
        deployment = client.get("/deployments/name/pipeline/pipeline").json()["id"]
        body = {"parameters": {"registered": False}, "state": {"type": "SCHEDULED", "message": "by a test"}}
        path = f"/deployments/{deployment}/create_flow_run"
        wait_for(  # on SQLite, while something else is written, it says 503
            lambda: client.post(path, json=body, headers=headers).status_code in (200, 201),
            limit_s=60, what="a run", every_s=1,
        )  # fmt: skip


def test_a_port_in_use_is_one_line(project: Path, environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command(), cwd=project, env={**environment, "FLEDGLING_MLFLOW_PORT": port}, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"fledgling: MLflow: port {port} is in use by another program; "
        "stop it, or set FLEDGLING_MLFLOW_PORT to a free port"
    ]
    assert left_behind(project) == []


@pytest.mark.parametrize("value", ["http", "0", "70000", "-1"])
def test_what_is_no_port_is_one_line(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fledgling.platform import addresses
    from tasks.stage import UserError

    monkeypatch.setenv("FLEDGLING_PREFECT_PORT", value)
    with pytest.raises(UserError, match=r"FLEDGLING_PREFECT_PORT.*1 to 65535"):
        addresses.ports()


def test_two_servers_need_two_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    from fledgling import platform
    from tasks.stage import UserError

    port = free_port()
    monkeypatch.setenv("FLEDGLING_PREFECT_PORT", str(port))
    monkeypatch.setenv("FLEDGLING_MLFLOW_PORT", str(port))
    with pytest.raises(UserError, match="must differ"):
        platform.serve(check=True)


def test_one_more_clone_serves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from fledgling import platform
    from tasks.stage import UserError

    monkeypatch.setenv("FLEDGLING_POOL", "second")
    with pytest.raises(UserError, match=r"FLEDGLING_POOL=second is .*--only worker"):
        platform.serve(check=True)


def test_prefect_yaml_passes_what_the_flow_takes() -> None:
    import ast

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [deployment["name"] for deployment in deployments] == [name.partition("/")[2] for name in DEPLOYMENTS]
    for deployment in deployments:
        path, _, name = deployment["entrypoint"].partition(":")
        body = ast.parse((ROOT / path).read_text()).body
        (flow,) = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert set(deployment["parameters"]) == {argument.arg for argument in flow.args.args}
