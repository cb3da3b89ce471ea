"""Who is told of a run that ended badly: a real listener; and which flows tell at all."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from flows import notice
from tests.answering import in_a_thread
from tests.conftest import ROOT
from tests.flows.listening import Listener

DEPLOYED = [one["entrypoint"] for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with in_a_thread(Listener()) as made:
        yield made


def tell_of(message: str | None) -> None:
    notice.tell(
        SimpleNamespace(name="backup"),
        SimpleNamespace(name="bold-owl", id=7),
        SimpleNamespace(name="Failed", message=message),
    )


def test_the_first_line_of_why_is_posted(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(notice.ADDRESS, listener.address)
    for message in ("no room\nfile, line 3", None):
        tell_of(message)
    told = {"event": "fledgling.run.ended-badly", "flow": "backup", "run": "bold-owl", "id": "7", "state": "Failed"}
    assert listener.told == [{**told, "why": "no room"}, {**told, "why": ""}]


@pytest.mark.parametrize("status", [500, 0], ids=["refuses", "is away"])
def test_who_does_not_listen_is_a_warning_without_the_address(
    listener: Listener, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener.status = status
    monkeypatch.setenv(notice.ADDRESS, listener.address if status else "http://127.0.0.1:1/secret")
    with caplog.at_level(logging.WARNING, logger="flows.notice"):
        tell_of("no room")
    assert f"{notice.ADDRESS} was not told" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("entrypoint", DEPLOYED)
def test_a_deployed_flow_tells_of_its_bad_ends(
    entrypoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))  # read at the first import: a fresh clone has no folder `var` yet
    from prefect.flows import load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(str(ROOT / entrypoint), use_placeholder_flow=False)
    assert notice.tell in flow.on_failure_hooks
    assert notice.tell in flow.on_crashed_hooks
