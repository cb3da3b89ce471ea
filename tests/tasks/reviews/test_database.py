"""Opening the database: addresses, versions, what is wrong in one line, what the disk keeps."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from tasks.reviews import chains, migrations
from tasks.reviews.database import Database, Unavailable, address, open_database
from tasks.reviews.tables import Table
from tests.conftest import refused
from tests.tasks.reviews.postgresql import Server
from tests.tasks.reviews.small import answer, deal, person, publish, sent


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/review.db"


@pytest.fixture
def old(review_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database as the first version of this code left it."""
    with monkeypatch.context() as patch:
        upgrade = migrations.upgrade
        patch.setattr(migrations, "head", lambda: "0001")
        patch.setattr(migrations, "upgrade", lambda connection: upgrade(connection, "0001"))
        database = open_database(review_address)
    with database:
        yield database


def test_it_is_a_file_in_var_unless_an_address_is_given(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    monkeypatch.delenv("FLEDGLING_REVIEW_DATABASE", raising=False)
    with open_database() as database:
        assert database.is_sqlite
        assert (workspace / "var" / "review" / "review.db").is_file()
    monkeypatch.setenv("FLEDGLING_REVIEW_DATABASE", "postgresql://ada@db/reviews")
    assert address() == "postgresql://ada@db/reviews"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("reviews.db", "not a database's address; allowed: sqlite:///"),
        ("http://user:sesame@host/x", "'http' is not supported; allowed: sqlite"),
        ("mysql://user:sesame@host/x", "'mysql' is not supported"),
        ("sqlite://", "in memory is lost"),
        ("sqlite:///:memory:", "in memory is lost"),
        ("postgresql://user:open@sesame@host/x", "an @ in the password is written %40"),
        ("postgresql://user:sesame@host:port/x", "not a database's address"),
    ],
)
def test_a_wrong_address_is_told(wrong: str, told: str) -> None:
    with refused(told) as raised:
        open_database(wrong)
    assert "sesame" not in str(raised.value)


def test_an_unreachable_server_is_told_without_the_password(postgresql: Server) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with refused(f"postgresql://127.0.0.1:{port}/reviews: .*refused") as raised:
            open_database(f"postgresql://ada:sesame@127.0.0.1:{port}/reviews")
    assert "sesame" not in str(raised.value)
    with refused('database "nowhere" does not exist'):
        open_database(postgresql.address("nowhere"))
    with refused('role "ada" does not exist') as raised:
        open_database(f"postgresql://ada:sesame@127.0.0.1:{postgresql.port}/postgres")
    assert "sesame" not in str(raised.value)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look like one: " * 20)
    with refused("notes.txt: file is not a database"):
        open_database(f"sqlite:///{tmp_path}/notes.txt")
    with refused("unable to open database file"):
        open_database(f"sqlite:///{tmp_path}")
    with refused("unable to open database file"):
        open_database(f"sqlite:///{tmp_path}/notes.txt/review.db")


def test_a_file_that_can_only_be_read_is_told(sqlite: str, tmp_path: Path) -> None:
    open_database(sqlite).close()
    with open_database(f"sqlite:///file:{tmp_path}/review.db?mode=ro&uri=true") as database:
        with pytest.raises(Unavailable, match="readonly database") as raised, database.session() as session:
            person(session)
        assert "\n" not in str(raised.value)


def test_a_file_that_somebody_else_writes_is_told(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.reviews.database.WAIT_S", 0.2)
    with open_database(sqlite) as database, open_database(sqlite) as other, other.session() as writing:
        person(writing)
        with pytest.raises(Unavailable, match=r"review\.db: database is locked"):
            _write(database)
        with pytest.raises(Unavailable, match=r"review\.db: busy"):
            _write(other)
        with database.reading() as session:  # nobody waits to read
            assert chains.live(session) == []


def _write(database: Database) -> None:
    with database.session() as session:
        person(session)


def test_tables_of_a_newer_version_are_told(review_address: str) -> None:
    with open_database(review_address) as database, database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with refused("of version 9999, newer than this code's 00.*update Fledgling"):
        open_database(review_address)


def test_tables_of_an_older_version_are_told_where_they_may_not_be_changed(
    old: Database, review_address: str, tmp_path: Path
) -> None:
    with refused("of version 0001, this code's are 00.*migrate it first"):
        open_database(review_address, migrate=False)
    with refused("of version none"):
        open_database(f"sqlite:///{tmp_path}/new.db", migrate=False)


def test_the_migrations_make_the_tables_of_the_models(review_database: Database) -> None:
    with review_database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_database_with_data_migrates_forward(old: Database, review_address: str) -> None:
    with old.session() as session:
        publish(session, items=3)
        ada = person(session)
        cards = deal(session, ada, 2)
        kept = [answer(session, ada, sent(card)) for card in cards]
        before = _rows(session)
    with open_database(review_address) as database:
        with database.session() as session:
            now = _rows(session)
            assert {name: now[name] for name in before} == before
            assert [row.id for row in chains.live(session)] == [receipt.annotation for receipt in kept]
            assert answer(session, ada, sent(deal(session, ada)[0])).is_new
        with pytest.raises(IntegrityError, match="append-only"), database.session() as session:
            session.execute(text("DELETE FROM annotations"))


def _rows(session: Any) -> dict[str, list[Any]]:
    there = set(inspect(session.connection()).get_table_names())
    tables = [table for table in Table.metadata.sorted_tables if table.name in there]
    return {table.name: session.execute(table.select()).all() for table in tables}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE annotations SET milliseconds = 1",
        "UPDATE annotations SET decision = '{}' WHERE id = 1",
        "DELETE FROM annotations",
    ],
)
def test_annotations_can_only_be_added(review_database: Database, change: str) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        answer(session, ada, sent(deal(session, ada)[0]))
        before = _rows(session)
    with pytest.raises(IntegrityError, match="annotations are append-only"), review_database.session() as session:
        session.execute(text(change))
    with review_database.reading() as session:
        assert _rows(session) == before


def test_annotations_cannot_be_truncated(postgresql: Server) -> None:
    with (
        open_database(postgresql.new_database()) as database,
        pytest.raises(IntegrityError, match="append-only"),
        database.session() as session,
    ):
        session.execute(text("TRUNCATE annotations CASCADE"))


def test_what_is_committed_is_on_the_disk(sqlite: str, postgresql: Server) -> None:
    with open_database(sqlite) as database, database.session() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    with psycopg.connect(postgresql.address("postgres")) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_server_that_was_killed_and_started_again_is_used_again() -> None:
    server = Server()
    try:
        with open_database(server.new_database()) as database:
            with database.session() as session:
                publish(session)
                ada = person(session)
                cards = deal(session, ada, 4)
            with database.session() as session:
                answer(session, ada, sent(cards[0]))
            server.kill()
            with pytest.raises(Unavailable, match="refused"), database.session() as session:
                answer(session, ada, sent(cards[1]))
            server.start()
            with database.session() as session:
                assert [row.assignment_id for row in chains.live(session)] == [cards[0].assignment]
                assert answer(session, ada, sent(cards[1])).is_new
    finally:
        server.remove()
