"""The review database: SQLite in var/ by default, PostgreSQL by an address in the environment."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from tasks.reviews import migrations
from tasks.stage import UserError

ADDRESS_VARIABLE = "FLEDGLING_REVIEW_DATABASE"
DEFAULT = "sqlite:///var/review/review.db"
ALLOWED = "allowed: sqlite:///path/to/file.db or postgresql://user:password@host:port/name"
WAIT_S = 10  # for a lock, and for a connection of the pool
OUR_OWN = (IntegrityError, DataError, ProgrammingError)  # mistakes of a query, not the database's state


class Unavailable(UserError):
    """The database can't be reached or used at this moment; what was sent may be sent again."""


def address() -> str:
    """Where the database is: FLEDGLING_REVIEW_DATABASE, or a file in var/."""
    return os.environ.get(ADDRESS_VARIABLE) or DEFAULT


class Database:
    """An open database. Close it, or use it as a context, so that no connection outlives it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.place = _place(engine.url)
        self._turn = threading.Lock()  # SQLite has one writer; a thread that waits here is woken at once
        self._reading = sessionmaker(engine, expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(writes=True), expire_on_commit=False)

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that may write: all of it is kept, on the disk, or nothing.

        Raises Unavailable where the database can't be reached, is locked or can't be written.
        """
        with self._own_turn(), self._in_one_line(), self._writing.begin() as session:
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads; it waits for nobody. Raises Unavailable as `session` does."""
        with self._in_one_line(), self._reading() as session:
            yield session

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _own_turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=WAIT_S):
            raise Unavailable(f"{self.place}: busy for {WAIT_S} s")
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except OUR_OWN:
            raise
        except (DatabaseError, PoolTimeout) as error:
            raise Unavailable(f"{self.place}: {_reason(error)}") from error


def open_database(url: str | None = None, *, migrate: bool = True) -> Database:
    """Opens the database at `url` (`address()` without one) and brings its tables up to date.

    migrate=False leaves the tables as they are. Raises UserError where the address is none, nothing answers there,
    or the tables are of another version than this code.
    """
    engine = _engine(_parsed(url or address()))
    database = Database(engine)
    try:
        with database._in_one_line(), engine.execution_options(writes=True).begin() as connection:
            _bring_up_to_date(connection, database.place, migrate=migrate)
    except BaseException:
        database.close()
        raise
    return database


def _bring_up_to_date(connection: Connection, place: str, *, migrate: bool) -> None:
    migrations.wait_for_others(connection)
    found, head = migrations.revision(connection), migrations.head()
    if found == head:
        return
    if found is not None and not migrations.is_known(found):
        raise UserError(f"{place}: its tables are of version {found}, newer than this code's {head}; update Fledgling")
    if not migrate:
        raise UserError(
            f"{place}: its tables are of version {found or 'none'}, this code's are {head}; migrate it first"
        )
    migrations.upgrade(connection)


def _parsed(url: str) -> URL:
    """The address for SQLAlchemy. What is wrong is told without the address: it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UserError(f"{ADDRESS_VARIABLE}: not a database's address; {ALLOWED}") from None
    if "@" in (parsed.host or ""):  # the end of a password, taken for a host's name
        raise UserError(f"{ADDRESS_VARIABLE}: an @ in the password is written %40; {ALLOWED}")
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise UserError(f"{ADDRESS_VARIABLE}: a database in memory is lost at the end; {ALLOWED}")
        return parsed
    raise UserError(f"{ADDRESS_VARIABLE}: '{parsed.drivername}' is not supported; {ALLOWED}")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=20,
        max_overflow=30,  # 50 reviewers at once; PostgreSQL's own default is 100 connections
        pool_timeout=WAIT_S,
        connect_args={"connect_timeout": 5, "options": f"-c lock_timeout={WAIT_S}s"},
    )


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    if "uri" not in url.query:
        with contextlib.suppress(OSError):  # told by SQLite, which can't open the file then
            path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=20, max_overflow=30, pool_timeout=WAIT_S, connect_args={"timeout": WAIT_S})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a committed answer survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _place(url: URL) -> str:
    """The address for people: without user and password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"postgresql://{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _reason(error: Exception) -> str:
    """The driver's own words, in one line."""
    if isinstance(error, PoolTimeout):
        return f"no connection was free for {WAIT_S} s"
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    return words if words else type(error).__name__
