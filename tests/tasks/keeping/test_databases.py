"""The databases on PostgreSQL: as docker compose makes them, copied, and put back."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, select

from tasks.keeping.databases import Database, databases
from tasks.reviews import reviewers
from tasks.reviews.database import open_database
from tasks.reviews.tables import Reviewer
from tests.conftest import ROOT, refused
from tests.tasks.reviews.postgresql import USER, Server
from tests.tasks.reviews.small import NOW

PASSWORDS = {f"FLEDGLING_{name}_DB_PASSWORD": f"it's {name} \"\\ $HOME" for name in ("PREFECT", "MLFLOW", "REVIEWS")}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server as the container's first start leaves it: compose/postgres/databases.sh has run."""
    made = Server()
    try:
        said = {"PGHOST": "127.0.0.1", "PGPORT": str(made.port), "POSTGRES_USER": USER}
        done = subprocess.run(
            ["bash", ROOT / "compose/postgres/databases.sh"], env={**os.environ, **said, **PASSWORDS},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.remove()


def address(server: Server, name: str, *, user: str | None = None) -> str:
    return f"postgresql://{user or name}@127.0.0.1:{server.port}/{name}"


def of(server: Server, name: str) -> Database:
    return Database(name=name, url=make_url(address(server, name)))


def new_database(server: Server, name: str, *, owner: str) -> str:
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {owner}")  # type: ignore[arg-type]
    return address(server, name, user=owner)


def test_each_service_has_its_own_database_and_reaches_no_other(server: Server) -> None:
    names = ("prefect", "mlflow", "reviews")
    for name in names:
        with psycopg.connect(address(server, name)) as connection:
            connection.execute("CREATE TABLE mine (a int)")
            connection.rollback()
        for other in set(names) - {name}:
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(address(server, other, user=name))
    with psycopg.connect(address(server, "prefect")) as connection:
        assert connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'").fetchone()
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'prefect'").fetchone() == (False,)


def test_passwords_are_taken_as_they_are(server: Server) -> None:
    with psycopg.connect(server.address("postgres")) as connection:
        found = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'mlflow'").fetchone()
    assert found
    assert str(found[0]).startswith("SCRAM-SHA-256$")


def test_reviews_are_copied_and_put_back(server: Server, tmp_path: Path) -> None:
    there = of(server, "reviews")
    assert not there.holds_something()
    with open_database(address(server, "reviews")) as database, database.session() as session:
        reviewers.add(session, "Ann", "reviewer", NOW)
    assert there.holds_something()
    copy = there.dump(tmp_path)
    elsewhere = new_database(server, "reviews_again", owner="reviews")
    again = Database(name="reviews", url=make_url(elsewhere))
    assert not again.holds_something()
    again.restore(copy)
    with open_database(elsewhere, migrate=False) as database, database.reading() as session:
        assert session.scalars(select(Reviewer.name)).all() == ["Ann"]
    with refused("reviews_again: .*error"):
        again.restore(copy)


def test_an_extension_of_somebody_elses_is_no_hindrance(server: Server, tmp_path: Path) -> None:
    """pg_trgm is the superuser's; Prefect's own user dumps and restores around it."""
    there = of(server, "prefect")
    with psycopg.connect(address(server, "prefect")) as connection:
        connection.execute("CREATE TABLE flow_run (name text)")
        connection.execute("CREATE INDEX found ON flow_run USING gin (name gin_trgm_ops)")
        connection.execute("INSERT INTO flow_run VALUES ('busy-owl')")
    copy = there.dump(tmp_path)
    elsewhere = new_database(server, "prefect_again", owner="prefect")
    with psycopg.connect(server.address("prefect_again"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    again = Database(name="prefect", url=make_url(elsewhere))
    assert not again.holds_something()
    again.restore(copy)
    with psycopg.connect(elsewhere) as connection:
        assert connection.execute("SELECT name FROM flow_run").fetchone() == ("busy-owl",)


def test_what_is_away_is_one_line_without_a_password() -> None:
    away = Database(name="reviews", url=make_url("postgresql://me:canary-4711@127.0.0.1:1/reviews"))
    with refused("postgresql://127.0.0.1:1/reviews: ") as raised:
        away.holds_something()
    assert "canary" not in str(raised.value)


def test_the_environment_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:x@db:5432/prefect",
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg://mlflow:x@db:5432/mlflow",
        "FLEDGLING_REVIEW_DATABASE": "postgresql://reviews:x@db:5432/reviews",
    }
    assert [found.place for found in databases(said)] == [f"postgresql://db:5432/{name}" for name in
                                                          ("prefect", "mlflow", "reviews")]  # fmt: skip
    assert [found.place for found in databases({})] == [
        "var/prefect/prefect.db", "var/mlflow/mlflow.db", "var/review/review.db", "var/mlflow/users.db"
    ]  # fmt: skip
    with refused("the address of the database of prefect is none"):
        databases({"PREFECT_API_DATABASE_CONNECTION_URL": "canary"})
    with refused("mlflow: a database of mysql; allowed: sqlite, postgresql"):
        databases({"MLFLOW_BACKEND_STORE_URI": "mysql://a@b/c"})
