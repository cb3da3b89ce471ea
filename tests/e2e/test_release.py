"""Promote, serve, roll back, serve: what `mlflow models serve` answers changes, and changes back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.local import free_port
from tasks.gating.champion import read_champion
from tasks.registry.release import promote, rollback
from tasks.stage import UserError
from tests.e2e.registry import registry
from tests.e2e.test_mlflow_server import Server
from tests.e2e.workspace import Workspace, succeeded, wait_for
from tests.tasks.registry.conftest import DVC_YAML, write_chain, write_model
from tests.tasks.registry.versions import GATE_STAGE, make_version, named, write_gate

pytestmark = [pytest.mark.server, pytest.mark.slow]

ASKED = {
    "dataframe_records": [{"prompt": "Once upon a time"}, {"prompt": "Why is the sky blue?"}],
    "params": {"max_tokens": 12, "temperature": 1.0, "top_p": 1.0, "seed": 1, "chat": False},
}


@pytest.fixture
def two_versions(tmp_path: Path) -> Workspace:
    """Two small models, registered one after the other; the gate spoke for the first beside base."""
    workspace = Workspace(tmp_path / "workspace")
    write_chain(workspace.folder)
    (workspace.folder / "dvc.yaml").write_text(DVC_YAML + GATE_STAGE)
    workspace.git("init", "-q", ".")
    workspace.dvc("init", "-q")
    for seed in (11, 12):
        write_model(workspace.folder / "models" / "finetuned", seed=seed)
        write_gate(workspace.folder, decision="promote", answers=f"seed {seed}")
        workspace.dvc("commit", "-q", "-f")
        workspace.git("add", ".")
        workspace.git("commit", "-q", "-m", f"a chain of seed {seed}")
        assert "the gate says 'promote'" in succeeded(workspace.fledgling("register"))
    return workspace


def command(workspace: Workspace, *arguments: str) -> str:
    """`fledgling ...` as it is typed; its first line."""
    return succeeded(workspace.fledgling(*arguments)).splitlines()[0]


@contextlib.contextmanager
def served(workspace: Workspace) -> Iterator[str]:
    """The address of `mlflow models serve -m models:/fledgling@champion`."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    uri = f"sqlite:///{workspace.folder / 'var' / 'mlflow' / 'mlflow.db'}"
    log = (workspace.folder.parent / "serve.log").open("ab")
    server = subprocess.Popen(
        [*(sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/fledgling@champion"),
         *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port))],
        cwd=workspace.folder.parent, env=workspace.environment(MLFLOW_TRACKING_URI=uri, DO_NOT_TRACK="true"),
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: is_up(address), limit_s=120, what="the served model")
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        log.close()


def is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ping", timeout=2).is_success
    except httpx.HTTPError:
        return False


def answer(workspace: Workspace) -> bytes:
    """What the champion answers, served anew."""
    with served(workspace) as address:
        told = httpx.post(f"{address}/invocations", json=ASKED, timeout=60)
        assert told.is_success, told.text
        assert len(told.json()["predictions"]) == 2
        return told.content


def test_the_served_answer_changes_and_changes_back(two_versions: Workspace) -> None:
    assert command(two_versions, "promote", "1").startswith("fledgling version 1 is the champion now")
    first = answer(two_versions)

    refused = two_versions.fledgling("promote", "2")
    assert refused.returncode == 1
    assert "compared version 2 with base, and the champion is fledgling/1" in refused.stderr
    assert command(two_versions, "promote", "2", "--despite", "a rehearsal").endswith("; version 1 before it")
    second = answer(two_versions)

    assert command(two_versions, "rollback", "--reason", "a rehearsal").endswith("no champion before it")
    back = answer(two_versions)

    assert first != second
    assert len(json.loads(first)["predictions"][0]["text"]) > 5
    assert back == first
    assert registry(two_versions)["aliases"] == {"candidate": 2, "champion": 1}
    kept = two_versions.folder / "champion"
    assert json.loads((kept / "champion.json").read_text())["version"] == 1
    assert json.loads((kept / "answers.jsonl").read_text()) == {"said_by": "seed 11"}


def test_the_registry_may_be_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "workspace"
    for made in (folder, tmp_path / "mlflow"):
        made.mkdir()
    monkeypatch.chdir(folder)
    Path("dvc.yaml").touch()
    server = Server(tmp_path / "mlflow")
    server.start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        make_version(tmp_path, 1)
        make_version(tmp_path, 2, gate_champion="fledgling/1")
        promote("1", by="Anna")
        assert promote(None, by="Anna").previous == 1
        assert rollback(by="Ben").version == 1
        assert named() == {"champion": 1, "previous_champion": None}
        champion = read_champion()
        assert champion is not None
        assert champion.told == "fledgling/1"
    finally:
        server.kill()
    with pytest.raises(UserError, match=r"^MLflow at http://127\.0\.0\.1:\d+: [^\n]+$"):
        promote("2", by="Anna")
