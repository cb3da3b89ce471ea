"""Votes and what is sent to review, from the API to a reviewer's card; the record and the traces of a server."""

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from tasks.registry import store
from tasks.registry.traces import find_traces
from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import ReplyVote, ServedReply
from tasks.serving.traces import Tracer
from tests.apps.serve.running import CHAT, Running, running, wait_until
from tests.conftest import ROOT
from tests.tasks.reviews import small
from tests.tasks.serving.served import reply


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The review database that the server uses."""
    address = f"sqlite:///{tmp_path}/review.db"
    monkeypatch.setenv("FLEDGLING_REVIEW_DATABASE", address)
    with open_database(address) as database:
        yield database


def said(server: Running, **body: object) -> str:
    """The id of a new reply that can be voted on."""
    name = str(server.ask(max_tokens=8, **body).raise_for_status().json()["id"])
    record = server.service.record
    assert record is not None
    wait_until(lambda: record.find(name))
    return name


def vote(server: Running, **body: object) -> httpx.Response:
    return httpx.post(f"{server.address}/feedback/vote", json=body, timeout=60)


def test_what_the_chat_says_stands_on_a_reviewers_cards(model_folder: Path, database: Database) -> None:
    with running(str(model_folder)) as server:
        first, second = said(server, seed=1), said(server, seed=2)
        rated = vote(server, reply_id=first, value="up").raise_for_status().json()["item"]
        chosen = vote(server, reply_id=second, value="better", other=first).raise_for_status().json()["item"]
        sent = server.post("/feedback/review", model=None, reply_id=second)
        assert (sent.status_code, sent.json()["error"]["param"]) == (400, "model"), "refused by name"
        sent = httpx.post(f"{server.address}/feedback/review", json={"reply_id": second}, timeout=60)
        metrics = httpx.get(f"{server.address}/metrics").text
    with database.session() as session:
        cards = small.deal(session, small.person(session), 5, now=datetime.now(UTC))
        assert {card.item: card.kind for card in cards} == {
            rated: "rating", chosen: "choice", sent.json()["item"]: "correction"
        }  # fmt: skip
        assert {card.prompt for card in cards} == {CHAT[0]["content"]}
        assert session.scalars(select(ReplyVote.value).order_by(ReplyVote.id)).all() == ["up", "better"]
    for what in ("vote_up", "vote_better", "sent_to_review"):
        assert f'fledgling_record_total{{what="{what}"}} 1.0' in metrics


def test_what_is_no_vote_is_told_as_openai_tells_errors(model_folder: Path, database: Database) -> None:
    with running(str(model_folder)) as server:
        unknown = vote(server, reply_id="chatcmpl-0", value="up")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "reply_not_found")
        wrong = vote(server, reply_id=said(server), value="better")
        assert (wrong.status_code, wrong.json()["error"]["message"]) == (
            400, "value is 'better'; of one reply: up, down"
        )  # fmt: skip
        assert vote(server, reply_id="chatcmpl-0", value="great").status_code == 400
    with running(str(model_folder), keys=("sesame",)) as server:
        assert vote(server, reply_id="chatcmpl-0", value="up").status_code == 401


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # of MLflow: as an error it would begin no trace
def test_replies_are_recorded_and_traced_where_the_parameters_say_so(
    model_folder: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    section = {"keep": True, "days": 30, "trace_share": 1.0}
    client = store.connect()  # loads MLflow and makes its database
    with running(str(model_folder), record=section) as server:
        named = server.ask(max_tokens=4, seed=5, user="ada").json()["id"]
        record = server.service.record
        assert record is not None
        wait_until(lambda: record.figures()["traced"] == 1)
    with database.reading() as session:
        row = session.get_one(ServedReply, named)
        assert (row.version, row.conversation, row.kind, row.seed) == ("tiny", "ada", "chat", 5)
        assert (row.settings["max_tokens"], row.completion_tokens) == (4, 4)
        assert row.latency_ms >= (row.first_token_ms or 0) > 0
    (trace,) = find_traces(client, store.experiment_id(client), tag="reply", value=named, most=5)
    assert trace.info.tags["share"] == "champion"


def test_a_trace_that_mlflow_does_not_begin_is_not_counted(
    workspace: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store.connect()  # before it, for a new address of MLflow's turns tracing on again
    mlflow.tracing.disable()
    try:
        tracer = Tracer(1.0)
        with caplog.at_level(logging.WARNING, "tasks.serving.traces"):
            for number in range(3):
                tracer.send(reply(number))
            tracer.close()
    finally:
        mlflow.tracing.enable()
    assert tracer.sent == 0
    (told,) = [one.getMessage() for one in caplog.records if one.name == "tasks.serving.traces"]
    assert "it begins no trace" in told


def test_mlflow_that_is_down_is_told_once_and_stops_nothing(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    section = {"keep": False, "days": 30, "trace_share": 1.0}
    with caplog.at_level(logging.WARNING, "tasks.serving.traces"), running(str(model_folder), record=section) as server:
        assert [server.ask(max_tokens=2).status_code for _ in range(5)] == [200] * 5
    told = [one.getMessage() for one in caplog.records if one.name == "tasks.serving.traces"]
    assert len(told) == 1
    assert told[0].endswith("replies are served without traces")
