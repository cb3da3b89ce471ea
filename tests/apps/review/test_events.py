"""What Prefect is told of a full batch, by HTTP, and what happens while it is down."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.review.events import tell_full_batches
from apps.review.settings import load_settings
from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Assignment, Batch
from tests.answering import in_a_thread
from tests.apps.review.filled import NOW, SECRET, Filling, fill, free_port

SETTINGS = load_settings(environment={"FLEDGLING_REVIEW_SECRET": SECRET})


class Prefect(HTTPServer):
    """Takes events as Prefect does, with a token of its own against forged requests."""

    taken: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken = []


class _Handler(BaseHTTPRequestHandler):
    server: Prefect

    def do_GET(self) -> None:
        self._answer(200, {"token": "a-token"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Prefect-Csrf-Token"] != "a-token":
            self._answer(403, {})
            return
        self.server.taken.extend(json.loads(body))
        self._answer(200, {})

    def _answer(self, code: int, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def prefect() -> Iterator[Prefect]:
    with in_a_thread(Prefect()) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'review.db'}") as opened:
        fill(opened, [Filling(kind="choice")] * 2, batch="full")
        fill(opened, [Filling(kind="choice")] * 2, batch="waiting")
        with opened.session() as session:
            for assignment in session.query(Assignment).where(Assignment.item_id.startswith("full/")):
                assignment.done_at = NOW
        yield opened


def told(database: Database) -> list[str]:
    with database.reading() as session:
        return [batch.id for batch in session.query(Batch).where(Batch.full_told_at.is_not(None))]


def test_a_full_batch_is_told_once(prefect: Prefect, database: Database) -> None:
    settings = replace(SETTINGS, prefect_api=f"http://127.0.0.1:{prefect.server_port}")
    assert tell_full_batches(settings, database) == ["full"]
    assert tell_full_batches(settings, database) == []
    (event,) = prefect.taken
    assert event["event"] == "fledgling.review.batch-full"
    assert event["resource"]["prefect.resource.id"] == "fledgling.review.batch.full"
    assert event["payload"] == {"batch": "full"}
    assert told(database) == ["full"]


def test_a_server_that_is_down_is_told_later(prefect: Prefect, database: Database) -> None:
    down = replace(SETTINGS, prefect_api=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(httpx.TransportError):
        tell_full_batches(down, database)
    assert told(database) == []
    up = replace(SETTINGS, prefect_api=f"http://127.0.0.1:{prefect.server_port}")
    assert tell_full_batches(up, database) == ["full"]
