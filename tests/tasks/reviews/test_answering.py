"""What a reviewer does becomes rows: once for each thing sent, never lost, never changed."""

from tasks.reviews import chains
from tasks.reviews.database import Database
from tasks.reviews.progress import progress
from tests.tasks.reviews.small import NOW, answer, deal, fresh_nonce, person, publish, sent, skip, undo


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
