"""`fledgling status`: a line for each part, and an exit code for scripts and probes."""

from pathlib import Path

import pytest

from apps.start.parts import NAMES, PARTS
from fledgling import status
from flows.local import free_port
from tests.conftest import refused


def test_nothing_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for part in PARTS:
        monkeypatch.setenv(part.variable, str(free_port()))
        monkeypatch.delenv(part.inside, raising=False)
    assert status.tell_status(None) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "away"] for name in NAMES]
    assert status.tell_status("mlflow") == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_is_no_part_is_one_line(workspace: Path) -> None:
    with refused("allowed: prefect, mlflow, review, serve, worker"):
        status.tell_status("database")
