"""The way of a served reply: its record, what was said of it, the version that gave it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fledgling.cli import app
from tasks.provenance.reply import is_reply
from tasks.registry.versions import registry
from tasks.serving.params import RecordParams
from tasks.serving.record import Record
from tests.conftest import refused
from tests.tasks.reviews import small
from tests.tasks.serving.served import NOW, reply


def trace(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["trace", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return f"{done.exit_code}\n{done.output}"


def serve(folder: Path) -> None:
    """Three replies: of the version, of the same version with other bytes, of a folder."""
    md5 = registry().get_model_version("fledgling", "1").tags["model_md5"]
    with Record(RecordParams(keep=False, days=30, trace_share=0.0), reviews=small.PARAMS) as record:
        told = {"version": "1", "model_md5": md5, "guard": "retry: weapons", "conversation": "c-[bold]1[/]"}
        record.write(reply(1, **told))
        record.write(reply(2, said="Another story.", version="1"))
        record.write(reply(3, version="aligned"))
        record.vote(reply(1).id, "up", now=NOW)
        record.vote(reply(2).id, "worse", other=reply(1).id, now=NOW)
        item = record.send_to_review(reply(1).id, now=NOW)
        record.vote(reply(3).id, "down", now=NOW)
        with record.database.session() as session:
            ada = small.person(session)
            card = next(one for one in small.deal(session, ada, 9) if one.item == item)
            small.answer(session, ada, small.sent(card))


def test_a_reply_is_traced_to_its_version_and_on(registered: Path) -> None:
    serve(registered)
    told = trace(reply(1).id)
    assert told.startswith("0\n")
    for part in (
        f"reply {reply(1).id} of version 1", "red boat and a kind duck", "max_tokens 80", "the guard: retry: weapons",
        "2026-11-22 09:00 UTC: up", f"better than {reply(2).id}", "a correction: 1 decision of people", "a choice: 0",
        "fledgling version 1", "dvc.lock", "own-questions",
    ):  # fmt: skip
        assert part in told, part
    way = json.loads(trace(reply(1).id, "--json")[2:])
    assert (way["kind"], way["version"]["model"]["version"], way["not_found"]) == ("reply", 1, [])
    assert {item["kind"]: item["said"].get("thumb") for item in way["items"]} == {
        "rating": "up", "choice": None, "correction": None
    }  # fmt: skip


def test_the_bytes_that_gave_it_are_verified(registered: Path) -> None:
    serve(registered)
    told = json.loads(trace(reply(1).id, "--verify", "--json")[2:])
    assert told[0]["what"] == f"model of {reply(1).id}"
    assert {check["state"] for check in told} == {"ok"}
    assert trace(reply(2).id, "--verify").startswith("1\n")
    way = json.loads(trace(reply(2).id, "--json")[2:])
    assert way["not_found"][0].startswith("the bytes that gave it: 000")
    told = json.loads(trace(reply(3).id, "--verify", "--json")[2:])
    assert [check["state"] for check in told] == ["missing"]
    assert "the folder aligned" in trace(reply(3).id)


def test_what_is_no_recorded_reply_is_told(registered: Path) -> None:
    with refused("no reply was recorded here: there is no var/review/review.db"):
        trace(reply(1).id)
    assert not (registered / "var" / "review").exists()
    serve(registered)
    with refused("chatcmpl-0: no such reply in .*; see serve.record.keep"):
        trace("chatcmpl-0")
    with refused("--page is of a version or a batch; `fledgling trace 1 --page"):
        trace(reply(1).id, "--page", "page.html")


@pytest.mark.parametrize(
    ("name", "is_one"), [("chatcmpl-12ab", True), ("cmpl-12ab", True), ("cmpl-", False), ("champion", False)]
)
def test_a_reply_is_known_by_its_name(name: str, is_one: bool) -> None:
    assert is_reply(name) is is_one
