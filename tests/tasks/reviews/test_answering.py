"""What a reviewer does becomes rows: once for each thing sent, never lost, never changed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.reviews import answering, chains
from tasks.reviews.answering import AlreadyAnswered
from tasks.reviews.database import Database
from tasks.reviews.progress import progress
from tasks.reviews.tables import Annotation, Batch, Export, Exported, Item
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, PARAMS, answer, deal, fresh_nonce, person, publish, sent, skip, undo

LATER = NOW + timedelta(hours=1)  # every lease has ended


def actions(session: Session) -> list[str]:
    return list(session.scalars(select(Annotation.action).order_by(Annotation.id)))


def export(session: Session, annotation: int) -> None:
    """The annotation lies in a batch file."""
    made = Export(batch_id="batch-1", number=1, file="batch-1.jsonl", manifest={}, manifest_sha256="", at=NOW)
    session.add(made)
    session.flush()
    session.add(Exported(annotation_id=annotation, export_id=made.id))
    session.flush()


def test_a_card_is_answered(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, kinds=("choice", "ranking", "rating", "correction"), items=8)
        ada = person(session)
    with review_database.session() as session:
        cards = deal(session, ada, 8)
        assert [card.kind for card in cards[:4]] == ["choice", "ranking", "rating", "correction"]
        for card in cards:
            assert answer(session, ada, sent(card)).is_new
    with review_database.reading() as session:
        rows = chains.live(session)
        assert [row.assignment_id for row in rows] == [card.assignment for card in cards]
        assert rows[0].decision == {"winner": cards[0].answers[0].generation}
        assert rows[0].sides == [shown.generation for shown in cards[0].answers]
        assert progress(session, ada, now=NOW).batch_done == 8


def test_a_resend_is_the_same_row(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        card = deal(session, ada)[0]
        submission = sent(card)
        first = answer(session, ada, submission)
    with review_database.session() as session:
        again = answer(session, ada, submission)
        assert (again.annotation, again.is_new) == (first.annotation, False)
        assert len(chains.live(session)) == 1


def test_what_was_taken_back_is_answered_anew(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        first, second = deal(session, ada, 2)
        kept = answer(session, ada, sent(first))
    with review_database.session() as session:
        nonce = fresh_nonce()
        assert undo(session, ada, nonce=nonce) == first
        assert undo(session, ada, nonce=nonce) == first
        assert deal(session, ada, 2) == [first, second]
        assert chains.live(session) == []
        new = answer(session, ada, sent(first, said={"side": "right"}))
        assert [row.id for row in chains.live(session)] == [new.annotation]
        assert [row.action for row in chains.history(session, first.item)] == ["answer", "undo", "answer"]
        assert [row.supersedes for row in chains.history(session, first.item)][:2] == [None, kept.annotation]


def test_a_skipped_card_goes_to_others(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=1)
        ada, bo = person(session), person(session, "Bo")
        card = deal(session, ada)[0]
        skip(session, ada, card)
        assert deal(session, ada) == []
        assert [found.assignment for found in deal(session, bo)] == [card.assignment]


def test_a_card_is_answered_once(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        card = deal(session, ada)[0]
        answer(session, ada, sent(card))
        with pytest.raises(AlreadyAnswered, match="has an answer of yours"):
            answer(session, ada, sent(card))
        with pytest.raises(AlreadyAnswered):
            skip(session, ada, card)
        assert actions(session) == ["answer"]


def test_a_skipped_card_is_not_answered_from_another_tab(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada, bo = person(session), person(session, "Bo")
        card = deal(session, ada)[0]
        skip(session, ada, card)
        with pytest.raises(AlreadyAnswered):
            answer(session, ada, sent(card))
        assert deal(session, bo)[0].item == card.item
        with pytest.raises(AlreadyAnswered):
            answer(session, ada, sent(card))


def test_a_nonce_belongs_to_one_thing(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada, bo = person(session), person(session, "Bo")
        first, second = deal(session, ada, 2)
        kept = sent(first)
        answer(session, ada, kept)
        with refused("nonce: used for something else"):
            answer(session, ada, replace(sent(second), nonce=kept.nonce))
        with refused("nonce: used for something else"):
            undo(session, ada, nonce=kept.nonce)
        with refused("nonce: used for something else"):
            answer(session, bo, replace(sent(deal(session, bo)[0]), nonce=kept.nonce))
        assert actions(session) == ["answer"]


def test_a_resend_after_taking_back_makes_no_row(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        submission = sent(deal(session, ada)[0])
        first = answer(session, ada, submission)
        undo(session, ada)
        assert answer(session, ada, submission) == replace(first, is_new=False)
        assert actions(session) == ["answer", "undo"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"assignment": 999}, "no card 999"),
        ({"assignment": -1}, "no card -1"),
        ({"assignment": 2**70}, "no card"),
        ({"assignment": True}, "no card True"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": "x" * 65}, "nonce"),
        ({"nonce": "nonce\x00nonce"}, "nonce"),
        ({"milliseconds": -1}, "milliseconds"),
        ({"milliseconds": 1.5}, "milliseconds"),
        ({"page_version": "x" * 41}, "page_version"),
        ({"page_version": "\x00"}, "page_version"),
        ({"said": {"side": "up"}}, "allowed: left, right, tie, both_bad"),
    ],
)
def test_what_is_no_submission_is_refused(review_database: Database, changes: dict[str, Any], told: str) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        submission = replace(sent(deal(session, ada)[0]), **changes)
        with refused(told):
            answer(session, ada, submission)
    with review_database.reading() as session:
        assert actions(session) == []


def test_a_card_of_somebody_elses_is_refused(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada, bo = person(session), person(session, "Bo")
        card = deal(session, ada)[0]
        with refused("somebody else"):
            answer(session, bo, sent(card))
        with refused("reason is 'dull'; allowed: unclear"):
            answering.skip(session, ada, sent(card, said={"reason": "dull"}), params=PARAMS, now=NOW)


def test_a_night_on_one_card_is_a_day_at_most(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        answer(session, ada, replace(sent(deal(session, ada)[0]), milliseconds=10**15))
        assert session.scalars(select(Annotation.milliseconds)).one() == 24 * 3600 * 1000


def test_the_last_ten_can_be_taken_back(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=12)
        ada = person(session)
        cards = deal(session, ada, 12)
        for card in cards:
            answer(session, ada, sent(card))
        assert progress(session, ada, now=NOW).undoable == 10
        taken_back = [undo(session, ada) for _ in range(12)]
        assert taken_back == [*cards[:1:-1], None, None]
        assert progress(session, ada, now=NOW).undoable == 0
        assert deal(session, ada, 12) == cards[2:]
        for card in cards[2:]:
            answer(session, ada, sent(card))
        assert progress(session, ada, now=NOW).undoable == 10
        assert len(chains.live(session)) == 12


def test_one_card_can_be_taken_back_again_and_again(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        card = deal(session, ada)[0]
        for _ in range(4):
            answer(session, ada, sent(card))
            assert undo(session, ada) == card
        skip(session, ada, card)
        assert undo(session, ada) == card
        last = answer(session, ada, sent(card))
        assert [row.id for row in chains.live(session)] == [last.annotation]
        rows = chains.history(session, card.item)
        assert len(rows) == 11
        assert [row.supersedes for row in rows] == [None, *(row.id for row in rows[:-1])]


def test_nothing_is_taken_back_from_a_batch_file(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        first, second = deal(session, ada, 2)
        export(session, answer(session, ada, sent(first)).annotation)
        answer(session, ada, sent(second))
        assert progress(session, ada, now=NOW).undoable == 1
        assert undo(session, ada) == second
        with refused("in a collected batch"):
            undo(session, ada)
        assert actions(session) == ["answer", "answer", "undo"]


def test_nothing_is_taken_back_in_a_closed_batch(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        answer(session, ada, sent(deal(session, ada)[0]))
        session.scalars(select(Batch)).one().closed_at = NOW
        session.flush()
        with refused("in a collected batch"):
            undo(session, ada)


def test_a_skip_is_taken_back_while_nobody_has_the_card(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=1)
        ada, bo = person(session), person(session, "Bo")
        card = deal(session, ada)[0]
        skip(session, ada, card, most_skips=1)
        assert session.scalars(select(Item.set_aside_at)).one() == NOW
        assert undo(session, ada, most_skips=1) == card
        assert session.scalars(select(Item.set_aside_at)).one() is None
        skip(session, ada, card)
        deal(session, bo)
        with refused("somebody else"):
            undo(session, ada)
        assert undo(session, ada, now=LATER) == card


def test_a_gold_card_that_was_skipped_can_be_taken_back(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3, gold=3)
        ada = person(session)
        gold = next(card for card in deal(session, ada, 6, gold_share=0.9) if int(card.item.split("/")[1]) > 2)
        skip(session, ada, gold)
        assert undo(session, ada) == gold
        assert answer(session, ada, sent(gold)).is_new


def test_there_is_nothing_to_take_back_at_first(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        assert undo(session, ada) is None
        deal(session, ada)
        assert undo(session, ada, undo_last=0) is None


def test_nobody_takes_back_what_another_said(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada, bo = person(session), person(session, "Bo")
        answer(session, ada, sent(deal(session, ada)[0]))
        assert undo(session, bo) is None


def test_a_failed_transaction_leaves_nothing(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        card = deal(session, ada)[0]

    def answer_and_fail() -> None:
        with review_database.session() as session:
            answer(session, ada, sent(card))
            raise RuntimeError("the page can't be rendered")

    with pytest.raises(RuntimeError):
        answer_and_fail()
    with review_database.session() as session:
        assert actions(session) == []
        assert answer(session, ada, sent(card)).is_new


def test_annotations_in_force_by_batch_and_by_reviewer(review_database: Database) -> None:
    with review_database.session() as session:
        for name in ("batch-1", "batch-2"):
            publish(session, items=2, double_each=1, name=name)
        ada, bo = person(session), person(session, "Bo")
        for reviewer in (ada, bo):
            for card in deal(session, reviewer, 3):
                answer(session, reviewer, sent(card))
        assert len(chains.live(session)) == 6
        assert len(chains.live(session, batch="batch-1")) == 4
        assert len(chains.live(session, reviewer=bo.id)) == 3
        assert [row.item_id for row in chains.live(session, batch="batch-2", reviewer=bo.id)] == ["batch-2/0"]
