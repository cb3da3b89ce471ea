"""The record: what is kept, for how long, and what becomes of votes; the items on the review page's own tables."""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Assignment, Batch, Generation, Item, Prompt, ReplyVote, ServedReply
from tasks.serving import record as recording
from tasks.serving.params import RecordParams
from tasks.serving.record import Record, UnknownReply
from tasks.serving.recorded import replies_since
from tests.conftest import refused
from tests.tasks.reviews import small
from tests.tasks.serving.served import ANSWER, NOW, QUESTION, reply


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/review/review.db"


@pytest.fixture
def new(address: str) -> Iterator[Callable[..., Record]]:
    made: list[Record] = []

    def new(*, keep: bool = False, **changes: Any) -> Record:
        params = RecordParams(keep=keep, days=30, trace_share=0.0)
        made.append(Record(params, reviews=small.params(**changes), database=partial(open_database, address)))
        return made[-1]

    yield new
    for one in made:
        one.close()


def test_what_is_written_is_found_again_as_it_was(new: Callable[..., Record], address: str) -> None:
    with new(keep=True) as record:
        for number in range(250):
            record.write(reply(number, said=f"Story {number}.", created_at=NOW + timedelta(seconds=number)))
    assert record.figures() == {"recorded": 250}
    with open_database(address) as database:
        found = replies_since(database, NOW + timedelta(seconds=100))
    assert found == [
        reply(number, said=f"Story {number}.", created_at=NOW + timedelta(seconds=number)) for number in range(100, 250)
    ]
    assert new(keep=True).find(reply(7).id) == reply(7, said="Story 7.", created_at=NOW + timedelta(seconds=7))
    assert new(keep=True).find("chatcmpl-nothing") is None


def test_off_it_touches_no_disk(new: Callable[..., Record], tmp_path: Path) -> None:
    with new() as record:
        record.write(reply())
        assert record.find(reply().id) == reply()
        assert record.find("another") is None
    assert list(tmp_path.iterdir()) == []


def test_on_the_database_is_open_before_the_first_reply(new: Callable[..., Record]) -> None:
    record, give_up_at = new(keep=True), time.monotonic() + 60
    while "database" not in vars(record):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_thumb_keeps_the_reply_and_makes_a_rating_for_reviewers(new: Callable[..., Record]) -> None:
    record = new()
    record.write(reply())
    item = record.vote(reply().id, "down", now=NOW)
    assert record.vote(reply().id, "up", now=NOW) == item, "who changes their mind has one item"
    assert record.figures() == {"vote_down": 1, "vote_up": 1}
    with record.database.session() as session:
        assert session.scalars(select(ServedReply.id)).all() == [reply().id]
        assert session.scalars(select(ReplyVote.value).order_by(ReplyVote.id)).all() == ["down", "up"]
        found = session.scalars(select(Item)).one()
        assert (found.id, found.kind, found.judge) == (item, "rating", {"judge": "chat", "thumb": "up"})
        assert (found.prompt.text, found.prompt.kind, found.prompt.split) == (QUESTION, "story", "train")
        answer = session.scalars(select(Generation)).one()
        assert (answer.text, answer.model_version, answer.decoding["reply"]) == (ANSWER, "3", reply().id)
        card = small.deal(session, small.person(session))[0]
        assert (card.kind, card.prompt, [one.text for one in card.answers]) == ("rating", QUESTION, [ANSWER])


def test_two_compared_replies_are_a_choice(new: Callable[..., Record]) -> None:
    record = new()
    record.write(reply(1))
    record.write(reply(2, said="A duck. A boat. The end.", version="4", share="candidate"))
    item = record.vote(reply(1).id, "worse", other=reply(2).id, now=NOW)
    with record.database.reading() as session:
        found = session.get_one(Item, item)
        winner = session.get_one(Generation, found.judge["winner"])
        assert (found.kind, winner.model_version, len(found.shown)) == ("choice", "4", 2)
    assert record.vote(reply(2).id, "tie", other=reply(1).id, now=NOW) == item, "asked the other way round"


def test_what_is_sent_to_review_is_a_correction_of_a_batch_that_grows(new: Callable[..., Record]) -> None:
    record = new(batch_items=2)
    items = []
    for number in range(3):
        record.write(reply(number, asked=f"Why is the {number}th boat so very blue?"))
        items.append(record.send_to_review(reply(number).id, now=NOW))
        assert record.send_to_review(reply(number).id, now=NOW) == items[-1]
    with record.database.reading() as session:
        batches = session.scalars(select(Batch).order_by(Batch.published_at, Batch.id)).all()
        assert sorted(len(batch.items) for batch in batches) == [1, 2]
        assert {batch.source for batch in batches} == {"served"}
        assert {item.kind for batch in batches for item in batch.items} == {"correction"}
        assert len(session.scalars(select(Assignment)).all()) == 3


def test_an_answered_item_of_the_chat_is_collected_when_its_batch_is_full(new: Callable[..., Record]) -> None:
    from tasks.reviews.progress import full_batches

    record = new(batch_items=2)
    for number in (1, 2):
        record.write(reply(number, asked=f"Tell me of boat {number}, of its sails and of who sails in it."))
        record.send_to_review(reply(number).id, now=NOW)
        with record.database.session() as session:
            ada = session.scalars(select(small.Reviewer)).first() or small.person(session)
            small.answer(session, ada, small.sent(small.deal(session, ada)[0]))
            assert len(full_batches(session)) == number - 1, "of one item more may come"


def test_prompts_that_nothing_may_be_learnt_from_are_not_for_training(new: Callable[..., Record]) -> None:
    record = new()
    held_out = "Write a story about a frog, a drum and a very tall tree by the sea."
    with record.database.session() as session:
        session.add(
            Prompt(id="p", kind="story", text=held_out, document="", cluster="c", split="holdout", added_at=NOW)
        )
    before = ({"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello, you."})
    record.write(reply(1, asked=held_out.replace("very ", "")))
    record.write(reply(2, messages=(*before, {"role": "user", "content": "And what is your name?"})))
    record.vote(reply(1).id, "up", now=NOW)
    record.vote(reply(2).id, "up", now=NOW)
    with record.database.reading() as session:
        near, talk = (
            session.scalars(select(Prompt).where(Prompt.text.like(text))).all() for text in ("%frog%", "And%")
        )
        assert {(one.split, one.cluster) for one in near} == {("holdout", "c")}
        assert [(one.split, one.document) for one in talk] == [
            ("judge_calibration", "user: Hello!\n\nassistant: Hello, you.")
        ]


def test_what_is_no_vote_is_told(new: Callable[..., Record]) -> None:
    record = new()
    record.write(reply(1))
    record.write(reply(2, asked="Another question."))
    record.write(reply(3, said="  "))
    with pytest.raises(UnknownReply, match="not known any more"):
        record.vote("chatcmpl-0", "up")
    with refused("value is 'better'; of one reply: up, down"):
        record.vote(reply(1).id, "better")
    with refused("value is 'up'; of two: better, worse, tie"):
        record.vote(reply(1).id, "up", other=reply(2).id)
    with refused("different questions"):
        record.vote(reply(1).id, "tie", other=reply(2).id)
    with refused("the same reply"):
        record.vote(reply(1).id, "tie", other=reply(1).id)
    with refused("nothing was said"):
        record.send_to_review(reply(3).id)
    assert record.vote(reply(3).id, "down") is None, "the vote is kept, an empty text is no item"


def test_old_replies_are_forgotten_with_their_votes_and_the_items_stay(new: Callable[..., Record]) -> None:
    record = new()
    for number, days in ((1, 20), (2, 1)):
        record.write(reply(number, created_at=NOW - timedelta(days=days)))
        record.vote(reply(number).id, "up", now=NOW)
    assert record.forget(NOW - timedelta(days=10)) == 1
    assert record.find(reply(1).id) is None
    with record.database.reading() as session:
        assert session.scalars(select(ReplyVote.reply_id)).all() == [reply(2).id]
        assert len(session.scalars(select(Item)).all()) == 2
    record.write(reply(3))
    record.vote(reply(3).id, "up", now=NOW + timedelta(days=30))
    with record.database.reading() as session:
        assert session.scalars(select(ServedReply.id)).all() == [reply(3).id], "older than record.days by then"


def test_a_database_that_is_away_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "AGAIN_S", 0.05)
    (tmp_path / "file").write_text("")
    away = [True]

    def database() -> Database:
        return open_database(f"sqlite:///{tmp_path}/file/review.db" if away[0] else f"sqlite:///{tmp_path}/review.db")

    with caplog.at_level(logging.WARNING), Record(
        RecordParams(keep=True, days=1, trace_share=0.0), reviews=small.PARAMS, database=database
    ) as record:  # fmt: skip
        began = time.monotonic()
        for number in range(50):
            record.write(reply(number, created_at=NOW.replace(year=2099)))
        assert time.monotonic() - began < 0.5
        time.sleep(0.3)
        away[0] = False
        record.write(reply(50, created_at=NOW.replace(year=2099)))
    assert record.figures() == {"recorded": 51}
    assert [one.levelname for one in caplog.records] == ["WARNING"], "told once"
