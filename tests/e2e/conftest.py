"""One chain, made once by `dvc repro` and copied by the tests that change it; one real Prefect server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.local import free_port
from tests.e2e.workspace import Done, Workspace, clone, succeeded, wait_for

# stands in for a package on the path of a stage: says that it was imported, and is none
BLOCKED = """
import os, pathlib
pathlib.Path(os.environ["IMPORTED"]).write_text(__name__)
raise ImportError(f"{__name__} is no import of a stage")
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The chain by `dvc repro`, where neither Prefect nor MLflow can be imported, and what it printed."""
    parent = tmp_path_factory.mktemp("made")
    workspace = clone(parent / "workspace")
    for package in ("prefect", "mlflow"):
        (parent / "blocked" / package).mkdir(parents=True)
        (parent / "blocked" / package / "__init__.py").write_text(BLOCKED)
    printed = workspace.dvc("repro", PYTHONPATH=str(parent / "blocked"), IMPORTED=str(parent / "imported"))
    workspace.git("add", "dvc.lock")
    workspace.git("commit", "-q", "-m", "a chain")
    return workspace, printed


@pytest.fixture(scope="session")
def chain(made: tuple[Workspace, str]) -> Workspace:
    """The finished chain: to be read, not to be changed."""
    return made[0]


@pytest.fixture
def changeable(chain: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished chain."""
    return chain.copy(tmp_path)


@pytest.fixture(scope="session")
def second_seed(chain: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The chain after `dvc exp run -S pretrain.seed=2`, undisturbed, and what that printed."""
    workspace = chain.copy(tmp_path_factory.mktemp("second_seed"))
    return workspace, workspace.dvc("exp", "run", "-S", "pretrain.seed=2")


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a `prefect server start`."""
    folder = tmp_path_factory.mktemp("prefect")
    port = free_port()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, env={**kept, "PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    api = f"http://127.0.0.1:{port}/api"
    try:
        wait_for(lambda: _answers(api), limit_s=90, what="the Prefect server")
        yield api
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def by_flow(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    """The chain from nothing in another folder, by `fledgling run` on the server; registered."""
    workspace = clone(tmp_path_factory.mktemp("by_flow") / "elsewhere" / "workspace")
    done = workspace.fledgling("run", PREFECT_API_URL=prefect_api)
    succeeded(done)
    return workspace, done
