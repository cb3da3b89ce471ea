"""A reviewer's question as rows, on both databases."""

import pytest

from tasks.reviews.asking import MOST_CHARACTERS, NONCE, is_answered, keep, question_of
from tasks.reviews.cards import Card
from tasks.reviews.database import Database
from tasks.reviews.tables import Assignment, Batch, Generation, Prompt
from tasks.serving.reply import Reply
from tasks.stage import UserError
from tests.tasks.reviews import small
from tests.tasks.serving.served import QUESTION, reply


def replies(*, nonce: str, asked: str = QUESTION, start: int = 1) -> list[Reply]:
    settings = {"temperature": 0.7, NONCE: nonce}
    texts = ("A duck swam.", "A boat sank.")
    return [
        reply(start + at, asked=asked, said=text, version=str(3 + at), settings=settings)
        for at, text in enumerate(texts)
    ]


def kept(
    database: Database, name: str, *, nonce: str = "nonce-one", start: int = 1, asked: str = QUESTION
) -> Card | None:
    with database.session() as session:
        return keep(
            session, small.reviewers.by_name(session, name), replies(nonce=nonce, asked=asked, start=start),
            question=asked, nonce=nonce, rubric=small.RUBRIC, params=small.PARAMS, now=small.NOW,
        )  # fmt: skip


def test_a_question_comes_before_what_its_asker_holds(review_database: Database) -> None:
    with review_database.session() as session:
        small.publish(session, items=4)
        ada, ben = small.person(session, "Ada"), small.person(session, "Ben")
        held = [card.assignment for card in small.deal(session, ada, 2)]
    card = kept(review_database, "Ada")
    assert card is not None
    assert (card.kind, card.prompt) == ("choice", QUESTION)
    with review_database.session() as session:
        assert [one.assignment for one in small.deal(session, ada, 3)] == [card.assignment, *held]
        assert card.assignment not in [one.assignment for one in small.deal(session, ben, 5)]
        batch = session.query(Batch).filter_by(source="served").one()
        assert batch.quota == small.PARAMS.batch_items  # it grows


def test_the_same_nonce_makes_one_item_whoever_sends_it(review_database: Database) -> None:
    with review_database.session() as session:
        small.person(session, "Ada"), small.person(session, "Ben")
        assert not is_answered(session, QUESTION, nonce="nonce-one")
    first, again = kept(review_database, "Ada"), kept(review_database, "Ada", start=5)  # asked twice at once
    assert first is not None
    assert again == first
    assert kept(review_database, "Ben") is None
    other = kept(review_database, "Ada", nonce="nonce-two", start=9)
    assert other is not None
    assert other.assignment != first.assignment
    with review_database.reading() as session:
        assert is_answered(session, QUESTION, nonce="nonce-one")
        assert session.query(Assignment).count() == 2
        assert session.query(Generation).count() == 4
        assert session.query(Prompt).count() == 1


def test_what_was_answered_does_not_come_back(review_database: Database) -> None:
    with review_database.session() as session:
        ada = small.person(session, "Ada")
    card = kept(review_database, "Ada")
    assert card is not None
    with review_database.session() as session:
        small.answer(session, ada, small.sent(card))
    assert kept(review_database, "Ada") is None


@pytest.mark.parametrize(
    ("said", "line"), [("", "empty"), ("\r\n ", "empty"), ("a" * (MOST_CHARACTERS + 1), "2,001 characters")]
)
def test_what_is_no_question(said: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        question_of(said)


def test_a_question_is_kept_as_every_database_takes_it() -> None:
    assert question_of(" Why\r\nnow? \ud83e\x00") == "Why\nnow? ?�"
