"""Many reviewers at once over real HTTP: nothing is lost or there twice, also where the server is killed."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.reviews.database import open_database
from tests.apps.review.crowd import NO_CONNECTION, Reader, at_a_pace, played, summary, until_done
from tests.apps.review.filled import prepared
from tests.apps.review.servers import Page, PageServer, over, running
from tests.apps.review.servers import page_server as page_server
from tests.apps.review.stock import assert_kept, readers, stock
from tests.tasks.reviews.conftest import postgresql as postgresql
from tests.tasks.reviews.conftest import review_address as review_address
from tests.tasks.reviews.postgresql import Server

SUBMISSIONS = 1_000
KILLS_AFTER = (150, 300, 450, 600, 750)  # answers
Place = tuple[str, Path]  # a database's address, a folder for its page
AS_PUBLISHED: dict[str, Any] = {"gold_share": 0.1, "again_share": 0.05, "double_share": 0.2}


@pytest.fixture
def both(tmp_path_factory: pytest.TempPathFactory, postgresql: Server) -> list[Place]:
    """An empty database of each kind, and folders: what is done with both at once takes half as long."""
    folders = [tmp_path_factory.mktemp(name) for name in ("sqlite", "postgresql")]
    addresses = [f"sqlite:///{folders[0]}/review.db", postgresql.new_database()]
    for address in addresses:
        open_database(address).close()  # one after the other: Alembic is one a process
    return list(zip(addresses, folders, strict=True))


@pytest.mark.slow
@pytest.mark.server
def test_a_thousand_submissions_with_resends_and_kills_are_a_thousand_rows(
    both: list[Place], page_server: PageServer
) -> None:
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda place: a_thousand(page_server, *place), both)) == [SUBMISSIONS, SUBMISSIONS]


def a_thousand(page_server: PageServer, address: str, folder: Path) -> int:
    """How many rows there are when twenty people have answered everything, with kills on the way."""
    served = over(prepared(folder), address)
    with open_database(address) as database:
        stock(database, SUBMISSIONS)
        people = readers(database, served, 20, resend_share=0.2)
        with running(page_server, served) as page:
            played(_work_and_kill(people, page))
            assert page.kills == len(KILLS_AFTER)
        rows = assert_kept(database, people)
    assert sum(reader.resent for reader in people) > 0.15 * SUBMISSIONS
    assert sum(reader.heard[NO_CONNECTION] for reader in people) >= len(KILLS_AFTER)
    assert not any(reader.refused for reader in people)
    return rows


async def _work_and_kill(people: Sequence[Reader], page: Page) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(until_done(people))
        for count in KILLS_AFTER:
            while sum(len(reader.stored) for reader in people) < count:
                await asyncio.sleep(0.01)
            page.kill()
            await asyncio.to_thread(page.start)


@pytest.mark.server
def test_fifty_reviewers_for_a_while(both: list[Place], page_server: PageServer) -> None:
    with ThreadPoolExecutor() as pool:
        assert all(pool.map(lambda place: fifty_reviewers(page_server, *place, seconds=20), both))


@pytest.mark.slow
@pytest.mark.server
def test_fifty_reviewers_for_five_minutes(
    review_address: str, tmp_path: Path, page_server: PageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = fifty_reviewers(page_server, review_address, tmp_path, seconds=300)
    with capsys.disabled():
        print(f"\n{review_address.partition(':')[0]}: {summary(seconds)}")


def fifty_reviewers(page_server: PageServer, address: str, folder: Path, *, seconds: float) -> list[float]:
    """Each sends something every 2 s. Returns how long each time took."""
    served = over(prepared(folder, **AS_PUBLISHED), address)
    with open_database(address) as database:
        stock(database, round(40 * seconds), gold=50, double_each=5)
        people = readers(database, served, 50)
        with running(page_server, served):
            played(at_a_pace(people, every_s=2.0, seconds=seconds))
        assert_kept(database, people)
    assert not any(reader.refused for reader in people)
    return [taken for reader in people for taken in reader.seconds]
