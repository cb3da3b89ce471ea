"""What the processes of the racing tests do, each with a database connection of its own."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Reviewer
from tests.tasks.reviews.small import answer, deal, sent, skip, undo

SPAWN = get_context("spawn")  # nothing of the parent's connections


def started(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = SPAWN.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def ended(processes: list[BaseProcess]) -> list[int | None]:
    """The exit codes, once all have ended."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def people(database: Database) -> list[Reviewer]:
    with database.reading() as session:
        return list(session.scalars(select(Reviewer).order_by(Reviewer.id)))


def open_it(address: str) -> None:
    open_database(address).close()


def answer_everything(address: str, person: int) -> None:
    """Goes on until nothing is left, as the page does; every seventh answer is taken back and given anew."""
    with open_database(address) as database:
        reviewer = people(database)[person]
        for count in range(10_000):
            with database.session() as session:
                cards = deal(session, reviewer, 3)
            if not cards:
                return
            with database.session() as session:
                answer(session, reviewer, sent(cards[0], nonce=f"{reviewer.pseudonym}-{count}"))
            if count % 7 == 6:
                with database.session() as session:
                    undo(session, reviewer, nonce=f"{reviewer.pseudonym}-undo-{count}")


def skip_once(address: str, person: int) -> None:
    with open_database(address) as database, database.session() as session:
        reviewer = people(database)[person]
        skip(session, reviewer, deal(session, reviewer)[0], nonce=f"{reviewer.pseudonym}-skip")


def send(address: str, person: int, cards: list[int], acknowledged: Path) -> None:
    """Answers these cards one by one; each that the database has kept is noted after that."""
    with open_database(address) as database, acknowledged.open("a") as log:
        reviewer = people(database)[person]
        for card in cards:
            with database.session() as session:
                receipt = answer(session, reviewer, sent(card, nonce=f"nonce-of-{card}"))
            log.write(f"{card} {receipt.annotation}\n")
            log.flush()
