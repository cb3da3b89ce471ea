"""Many at once, kills and resends: no slot goes to two, no answer is lost, none is kept twice."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tasks.reviews import chains
from tasks.reviews.answering import AlreadyAnswered, Submission
from tasks.reviews.database import Database, Unavailable, open_database
from tasks.reviews.tables import Annotation, Assignment, Item, Reviewer
from tasks.stage import UserError
from tests.tasks.reviews.postgresql import Server
from tests.tasks.reviews.racing import answer_everything, ended, open_it, send, skip_once, started
from tests.tasks.reviews.small import answer, deal, fresh_nonce, person, publish, sent, undo


def prepared(database: Database, *, items: int, readers: int, double_each: int | None = None) -> list[Reviewer]:
    with database.session() as session:
        publish(session, items=items, double_each=double_each)
        return [person(session, f"P{number}") for number in range(readers)]


def answers_by_slot(session: Session) -> Counter[int]:
    return Counter(row.assignment_id for row in chains.live(session))


def rows(session: Session) -> int:
    return session.scalar(select(func.count(Annotation.id))) or 0


def test_processes_that_open_a_new_database_at_once_migrate_it_once(review_address: str) -> None:
    assert ended([started(open_it, review_address) for _ in range(3)]) == [0] * 3


def test_threads_that_ask_at_once_are_given_different_cards(review_database: Database) -> None:
    readers = prepared(review_database, items=60, readers=20, double_each=3)

    def ask(reviewer: Reviewer) -> list[int]:
        with review_database.session() as session:
            return [card.assignment for card in deal(session, reviewer, 4)]

    with ThreadPoolExecutor(20) as pool:
        given = [number for numbers in pool.map(ask, readers) for number in numbers]
        assert len(given) == len(set(given))
    given = [number for reviewer in readers for number in ask(reviewer)]
    assert len(given) == len(set(given)) == 80
    with review_database.reading() as session:
        leased = session.execute(select(Assignment.item_id, Assignment.reviewer_id).where(Assignment.id.in_(given)))
        assert max(Counter(map(tuple, leased)).values()) == 1  # never both slots of an item


def test_processes_that_answer_at_once_fill_a_batch_exactly(review_database: Database, review_address: str) -> None:
    prepared(review_database, items=30, readers=3, double_each=3)
    assert ended([started(answer_everything, review_address, number) for number in range(3)]) == [0] * 3
    with review_database.reading() as session:
        answered = answers_by_slot(session)
        assert set(answered) == set(session.scalars(select(Assignment.id)))
        assert set(answered.values()) == {1}
        told = [(row.item_id, row.reviewer_id) for row in chains.live(session)]
        assert len(told) == len(set(told)) == 40


def test_one_person_in_many_tabs_answers_a_card_once(review_database: Database) -> None:
    ada = prepared(review_database, items=4, readers=1)[0]
    with review_database.session() as session:
        card = deal(session, ada)[0]

    def click(_: int) -> bool:
        try:
            with review_database.session() as session:
                return answer(session, ada, sent(card)).is_new
        except AlreadyAnswered:
            return False

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(click, range(12))) == [False] * 11 + [True]
    with review_database.reading() as session:
        assert rows(session) == 1


def test_one_submission_sent_many_times_at_once_is_one_row(review_database: Database) -> None:
    ada = prepared(review_database, items=4, readers=1)[0]
    with review_database.session() as session:
        submission = sent(deal(session, ada)[0])

    def send_it(_: int) -> tuple[int, bool]:
        with review_database.session() as session:
            receipt = answer(session, ada, submission)
            return receipt.annotation, receipt.is_new

    with ThreadPoolExecutor(12) as pool:
        receipts = list(pool.map(send_it, range(12)))
    assert len({annotation for annotation, _ in receipts}) == 1
    assert sum(is_new for _, is_new in receipts) == 1


def test_one_undo_sent_many_times_at_once_takes_one_back(review_database: Database) -> None:
    ada = prepared(review_database, items=4, readers=1)[0]
    with review_database.session() as session:
        cards = deal(session, ada, 4)
        for card in cards:
            answer(session, ada, sent(card))
    nonce = fresh_nonce()

    def take_back(_: int) -> object:
        with review_database.session() as session:
            return undo(session, ada, nonce=nonce)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(take_back, range(8))) == [cards[-1]] * 8
    with review_database.reading() as session:
        assert len(chains.live(session)) == 3


def test_tabs_that_reload_at_once_are_given_the_same_cards(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=20, gold=10)
        ada = person(session)

    def load(_: int) -> list[int]:
        with review_database.session() as session:
            return [card.assignment for card in deal(session, ada, 4, gold_share=0.5)]

    with ThreadPoolExecutor(8) as pool:
        assert len({tuple(numbers) for numbers in pool.map(load, range(8))}) == 1


def test_one_name_added_twice_at_once_is_one_reviewer(review_database: Database) -> None:
    def add(_: int) -> bool:
        try:
            with review_database.session() as session:
                person(session)
                return True
        except UserError:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(add, range(6))) == [False] * 5 + [True]


def test_two_who_skip_an_item_at_once_set_it_aside(review_database: Database, review_address: str) -> None:
    prepared(review_database, items=1, readers=2, double_each=1)
    assert ended([started(skip_once, review_address, number) for number in range(2)]) == [0, 0]
    with review_database.reading() as session:
        assert session.scalars(select(Item.set_aside_at)).one() is not None


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_submissions_with_resends_and_kills_are_each_one_row(
    review_database: Database, review_address: str, tmp_path: Path, count: int
) -> None:
    """Five times the sender is killed; the next one sends again all that was not acknowledged, and more."""
    ada = prepared(review_database, items=count, readers=1)[0]
    with review_database.session() as session:
        cards = [card.assignment for card in deal(session, ada, count)]
    acknowledged, chance = tmp_path / "acknowledged", random.Random(0)  # noqa: S311
    acknowledged.touch()
    for killed in range(6):
        told = dict(line.split() for line in acknowledged.read_text().splitlines() if line.count(" ") == 1)
        resent = chance.sample([int(card) for card in told], len(told) // 5)
        left = [card for card in cards if str(card) not in told]
        sender = started(send, review_address, 0, [*resent, *left], acknowledged)
        if killed < 5:
            _wait_for(acknowledged, lines=count * 15 // 100 * (killed + 1))
            sender.kill()
        assert ended([sender]) == [-9 if killed < 5 else 0]
        assert _kept(review_database) >= {int(row) for row in told.values()}
    with review_database.session() as session:
        for card in chance.sample(cards, count // 5):
            assert not answer(session, ada, sent(card, nonce=f"nonce-of-{card}")).is_new
        assert rows(session) == count
        assert set(answers_by_slot(session)) == set(cards)
    told = dict(line.split() for line in acknowledged.read_text().splitlines() if line.count(" ") == 1)
    assert _kept(review_database) == {int(row) for row in told.values()}


def test_what_a_killed_server_acknowledged_is_there() -> None:
    """kill -9 of PostgreSQL while eight people answer; they send again what was not acknowledged."""
    server = Server()
    try:
        _answer_while_killed(server)
    finally:
        server.remove()


def _answer_while_killed(server: Server) -> None:
    with open_database(server.new_database()) as database, ThreadPoolExecutor(8) as pool:
        readers = prepared(database, items=120, readers=8)
        acknowledged: dict[str, int] = {}
        work = [pool.submit(_insist, database, reviewer, acknowledged) for reviewer in readers]
        for goal in (30, 70):
            while len(acknowledged) < goal:
                time.sleep(0.005)
            server.kill()
            server.start()
        for done in work:
            done.result(60)
        with database.reading() as session:
            kept = {row.nonce: row.id for row in chains.live(session)}
        assert kept == acknowledged
        assert len(kept) == 120


def _insist(database: Database, reviewer: Reviewer, acknowledged: dict[str, int]) -> None:
    """Answers all cards there are; what fails is sent again, the same, until it is kept."""
    submission: Submission | None = None
    while True:
        try:
            if submission is None:
                with database.session() as session:
                    cards = deal(session, reviewer)
                if not cards:
                    return
                submission = sent(cards[0])
            with database.session() as session:
                receipt = answer(session, reviewer, submission)
        except Unavailable:
            time.sleep(0.02)
            continue
        acknowledged[submission.nonce] = receipt.annotation
        submission = None


def _wait_for(acknowledged: Path, *, lines: int) -> None:
    end = time.monotonic() + 60
    while acknowledged.read_text().count("\n") < lines:
        assert time.monotonic() < end
        time.sleep(0.01)


def _kept(database: Database) -> set[int]:
    with database.reading() as session:
        return set(session.scalars(select(Annotation.id)))
