"""What befalls a database or a reviewer: nothing is acknowledged that is not stored, and the page goes on by itself."""

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import text

from tasks.reviews.database import Database, open_database
from tests.apps.review.crowd import NO_CONNECTION, Reader, played, until_done
from tests.apps.review.filled import Served, prepared
from tests.apps.review.servers import Page, PageServer, over, running
from tests.apps.review.servers import page_server as page_server
from tests.apps.review.stock import assert_kept, readers, stock
from tests.tasks.reviews.conftest import postgresql as postgresql
from tests.tasks.reviews.conftest import review_address as review_address
from tests.tasks.reviews.postgresql import Server

pytestmark = pytest.mark.server

ITEMS = 150
ALREADY = "this card has an answer of yours already; take it back to change it"
Serving = Callable[..., AbstractContextManager[tuple[Page, Database]]]
Fault = Callable[[Page, str], AbstractContextManager[None]]


def heard(*people: Reader) -> set[str]:
    """What the page said beside answers; each is one line for people."""
    lines = {line for reader in people for line in reader.heard} - {NO_CONNECTION}
    assert not any("\n" in line or "Traceback" in line for line in lines), lines
    return lines


@pytest.fixture
def serving(page_server: PageServer, tmp_path: Path) -> Serving:
    """Opens a database with so many items, and a page over it that waits a second for a lock, not ten."""

    @contextlib.contextmanager
    def serving(address: str, *, items: int) -> Iterator[tuple[Page, Database]]:
        with open_database(address) as database:
            stock(database, items)
            with running(page_server, over(prepared(tmp_path), address), wait_s=1) as page:
                yield page, database

    return serving


def test_postgresql_is_killed_and_comes_back(postgresql: Server, serving: Serving) -> None:
    with serving(postgresql.new_database(), items=ITEMS) as (page, database):
        people = readers(database, page.served, 10)
        played(_work_and_kill(people, postgresql, page.served))
        database.close()  # its connections were killed too
        assert assert_kept(database, people) == ITEMS
    assert not any(reader.refused for reader in people)
    assert all(
        line.startswith(f"Not known to be stored: postgresql://127.0.0.1:{postgresql.port}/") for line in heard(*people)
    )


async def _work_and_kill(people: list[Reader], server: Server, served: Served) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(until_done(people))
        while sum(len(reader.stored) for reader in people) < ITEMS / 3:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        try:
            while not heard(*people):
                await asyncio.sleep(0.01)
            assert (await asyncio.to_thread(httpx.get, f"{served.address}/healthz")).status_code == 503
        finally:
            await asyncio.to_thread(server.start)


@contextlib.contextmanager
def locked(page: Page, address: str) -> Iterator[None]:
    """Somebody else is writing and does not end."""
    if address.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(_file(address), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(address) as other_server:
            other_server.execute("LOCK TABLE assignments IN EXCLUSIVE MODE")
            yield


@contextlib.contextmanager
def full(page: Page, address: str) -> Iterator[None]:
    """No file of the page's process can grow: what a full disk is to SQLite."""
    number, unlimited = page.process.pid, resource.prlimit(page.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(number, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    yield
    resource.prlimit(number, resource.RLIMIT_FSIZE, unlimited)


@contextlib.contextmanager
def read_only(page: Page, address: str) -> Iterator[None]:
    """PostgreSQL after a failover to a standby: it answers, and takes nothing."""
    name = address.rpartition("/")[2]
    with psycopg.connect(address, autocommit=True) as other:
        for value in ("on", "off"):
            other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            if value == "on":
                yield


def _file(address: str) -> str:
    return address.removeprefix("sqlite:///")


FAULTS = {
    "sqlite-locked": (locked, "is locked"),
    "sqlite-full": (full, "disk"),
    "postgresql-locked": (locked, "lock timeout"),
    "postgresql-read-only": (read_only, "read-only transaction"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_database_cannot_take_is_not_acknowledged(
    name: str, tmp_path: Path, serving: Serving, request: pytest.FixtureRequest
) -> None:
    """It says so in one line; once the database takes it, the same sending is stored, once."""
    fault, words = FAULTS[name]
    is_sqlite = name.startswith("sqlite")
    address = f"sqlite:///{tmp_path}/review.db" if is_sqlite else request.getfixturevalue("postgresql").new_database()
    with serving(address, items=4) as (page, database):
        reader = readers(database, page.served, 1)[0]
        played(_answer_amid(fault, page, address, reader, database))
        assert assert_kept(database, [reader]) == 2
    assert any(words in line for line in heard(reader)), reader.heard
    assert all(line.startswith("Not known to be stored: ") for line in heard(reader))
    assert not reader.refused


async def _answer_amid(fault: Fault, page: Page, address: str, reader: Reader, database: Database) -> None:
    async with reader:
        await reader.answer()
        with ExitStack() as present:
            present.enter_context(fault(page, address))
            answering = asyncio.create_task(reader.answer())
            while not heard(reader):
                await asyncio.sleep(0.05)
            assert assert_kept(database, [reader]) == 1
        await answering


def test_two_browsers_of_one_reviewer(review_address: str, serving: Serving) -> None:
    """Each card is answered once, by whichever was quicker; the other is told and goes on."""
    with serving(review_address, items=12) as (page, database):
        first = readers(database, page.served, 1)[0]
        second = first.elsewhere()
        played(_answer_together(first, second))
        assert assert_kept(database, [first, second]) == 12
    assert set(first.refused) | set(second.refused) == {
        "this card has an answer of yours already; take it back to change it"
    }


async def _answer_together(first: Reader, second: Reader) -> None:
    async with first, second:
        assert first.card == second.card
        while first.card or second.card:
            await asyncio.gather(*(reader.answer() for reader in (first, second) if reader.card))


def test_a_lease_that_ends_while_an_answer_is_written(review_address: str, serving: Serving) -> None:
    """The answer counts, unless somebody else was given the card meanwhile."""
    with serving(review_address, items=2) as (page, database):
        slow, quick = readers(database, page.served, 2)
        played(_answer_late(slow, quick, database))
        assert assert_kept(database, [slow, quick]) == 2
    assert (len(slow.stored), len(quick.stored)) == (1, 1)
    assert list(slow.refused) == ["this card went to somebody else in the meantime; go on with the next one"]


async def _answer_late(slow: Reader, quick: Reader, database: Database) -> None:
    async with slow:
        _end_leases(database)
        await slow.answer()
        _end_leases(database)
        async with quick:
            assert quick.card is not None
            assert slow.card is not None
            assert quick.card.assignment == slow.card.assignment
            await slow.answer()
            await quick.answer()


def _end_leases(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE assignments SET lease_until = '2026-01-01 00:00:00' WHERE done_at IS NULL"))
