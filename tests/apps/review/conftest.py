"""The page as people meet it: a real server, and clients without a browser."""

from collections.abc import Callable, Iterator

import pytest

from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Batch
from tests.apps.review.filled import NOW, Filling, Served, fill, prepared


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page that is served for all tests; each publishes a batch of its own, which is closed at its end."""
    made = prepared(tmp_path_factory.mktemp("served"))
    with made.running():
        yield made


@pytest.fixture
def database(served: Served) -> Iterator[Database]:
    """The database behind the page, with nothing left to hand out at the end."""
    with open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]) as opened:
        yield opened
        close_all(opened)


@pytest.fixture
def publish(database: Database) -> Callable[..., str]:
    """Publishes items as the only open batch; returns its name."""

    def publish(*items: Filling) -> str:
        with database.reading() as session:
            name = f"batch-{session.query(Batch).count()}"
        fill(database, items, batch=name)
        return name

    return publish


def close_all(database: Database) -> None:
    """Nothing that was published is handed out any more."""
    with database.session() as session:
        session.query(Batch).update({"closed_at": NOW})
