"""Who is told of a run that ended badly: a real listener; and which flows tell at all."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from flows import notice
from tests.conftest import ROOT

DEPLOYED = [one["entrypoint"] for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]]


class Listener(HTTPServer):
    """Keeps what is posted to it, and answers with `status`."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), _Heard)
        self.address = f"http://127.0.0.1:{self.server_port}/hook?token=secret"


class _Heard(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


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
def test_a_deployed_flow_tells_of_its_bad_ends(entrypoint: str) -> None:
    from prefect.flows import load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(str(ROOT / entrypoint), use_placeholder_flow=False)
    assert notice.tell in flow.on_failure_hooks
    assert notice.tell in flow.on_crashed_hooks
