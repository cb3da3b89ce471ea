"""The review database on SQLite and on PostgreSQL, both real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.reviews.database import Database, open_database
from tests.tasks.reviews.postgresql import Server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for all tests; each takes a database of its own on it."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def review_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reviews/review.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def review_database(review_address: str) -> Iterator[Database]:
    """A database with its tables and nothing in them."""
    with open_database(review_address) as database:
        yield database
