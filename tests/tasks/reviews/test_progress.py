"""How far somebody and a batch are."""

from sqlalchemy import select

from tasks.reviews.database import Database
from tasks.reviews.progress import counts, full_batches, progress, tell_full
from tasks.reviews.tables import Batch
from tests.tasks.reviews.small import NOW, answer, deal, person, publish, sent, skip, undo


def test_before_anything_was_published(review_database: Database) -> None:
    with review_database.session() as session:
        found = progress(session, person(session), now=NOW)
        assert (found.done, found.left, found.batch_done, found.batch_quota) == (0, 0, 0, 0)
        assert found.median_ms is None
        assert full_batches(session) == []


def test_each_answer_counts_and_what_is_taken_back_does_not(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=4, double_each=2)
        ada, bo = person(session), person(session, "Bo")
        for card in deal(session, ada, 3):
            answer(session, ada, sent(card))
        found = progress(session, ada, now=NOW)
        assert (found.done, found.batch_done, found.batch_quota, found.undoable) == (3, 3, 6, 3)
        assert found.left == 1  # the second opinions are not theirs to give
        assert found.median_ms == 4000
        assert progress(session, bo, now=NOW).left == 3
        undo(session, ada)
        found = progress(session, ada, now=NOW)
        assert (found.done, found.left, found.batch_done, found.undoable) == (2, 2, 2, 2)


def test_what_is_left_is_what_is_still_dealt(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=7, gold=3, double_each=3)
        ada, bo = person(session), person(session, "Bo")
        skip(session, bo, deal(session, bo)[0])
        skip(session, ada, deal(session, ada)[0])
        left = []
        while cards := deal(session, ada, 4, gold_share=0.3):
            left.append(progress(session, ada, now=NOW).left)
            answer(session, ada, sent(cards[0]))
        assert left[-1] == 1
        assert progress(session, ada, now=NOW).left == 0


def test_a_batch_is_full_when_its_quota_is_met(review_database: Database) -> None:
    with review_database.session() as session:
        batch = publish(session, items=2, double_each=1, gold=1)
        for name in ("Ada", "Bo"):
            reviewer = person(session, name)
            assert full_batches(session) == []
            for card in deal(session, reviewer, 3, gold_share=0.5):
                answer(session, reviewer, sent(card))
        assert counts(session, batch) == (4, 4)
        assert full_batches(session) == ["batch-1"]
        tell_full(session, "batch-1", NOW)
        assert full_batches(session) == []


def test_an_item_set_aside_does_not_keep_a_batch_from_being_full(review_database: Database) -> None:
    with review_database.session() as session:
        batch = publish(session, items=2, double_each=1)
        ada, bo = person(session), person(session, "Bo")
        for reviewer in (ada, bo):
            first, second = deal(session, reviewer, 2)
            skip(session, reviewer, first)
            answer(session, reviewer, sent(second))
        assert counts(session, batch) == (2, 2)
        assert full_batches(session) == ["batch-1"]


def test_the_progress_is_that_of_the_first_batch_that_is_not_full(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=1)
        publish(session, items=5, name="batch-2")
        ada = person(session)
        assert progress(session, ada, now=NOW).batch_quota == 1
        answer(session, ada, sent(deal(session, ada)[0]))
        found = progress(session, ada, now=NOW)
        assert (found.batch_done, found.batch_quota, found.left) == (0, 5, 5)
        for batch in session.scalars(select(Batch)):
            batch.closed_at = NOW
        session.flush()
        assert progress(session, ada, now=NOW).left == 0
