"""The way of a version whose registry and artifacts are behind an MLflow server."""

import sys
from pathlib import Path

import pytest

from tasks.provenance.verify import verify_version
from tasks.provenance.version import trace_version
from tasks.registry import store
from tests.e2e.test_mlflow_server import Server
from tests.tasks.registry.conftest import command

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")]


def test_a_version_of_a_server_is_told_and_holds(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()
    server = Server(tmp_path / "mlflow")
    try:
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        command(registered, sys.executable, "-W", "ignore", "-m", "tasks.register", tracking_uri=server.uri)
        client = store.connect()
        way = trace_version(client, 1)
        assert way.gate is not None
        assert way.gate.figures["decision"] == "undecided"
        assert {check.state for check in verify_version(client, way)} == {"ok"}
    finally:
        server.kill()
