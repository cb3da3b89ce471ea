"""The platform's databases: where each is, its copy as one file, and that copy put back."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tasks.registry import store
from tasks.reviews import database as reviews
from tasks.stage import STATE, UserError

PREFECT_FILE = STATE / "prefect" / "prefect.db"
PREFECT, MLFLOW, USERS, REVIEWS = "prefect", "mlflow", "mlflow-users", "reviews"
PREFECT_ADDRESSES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
MLFLOW_ADDRESS = "MLFLOW_BACKEND_STORE_URI"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
LIMIT_S = 3600  # of PostgreSQL's programs


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database. server: None for SQLite, whose file is `file`."""

    name: str
    url: URL

    @property
    def kind(self) -> str:
        return self.url.get_backend_name()

    @property
    def file(self) -> Path:
        """Of SQLite: the file."""
        return Path(self.url.database or "")

    @property
    def place(self) -> str:
        """For people: without user and password."""
        if self.kind == SQLITE:
            return str(self.file)
        return f"postgresql://{self.url.host or 'localhost'}:{self.url.port or 5432}/{self.url.database or ''}"

    @property
    def copy_name(self) -> str:
        """Of its copy in a backup."""
        return f"{self.name}.{'sqlite' if self.kind == SQLITE else 'dump'}"

    def holds_something(self) -> bool:
        """Whether there are tables. Raises UserError where PostgreSQL can't be reached."""
        if self.kind == SQLITE:
            return self.file.exists()
        import psycopg

        try:
            with psycopg.connect(self._plain(), connect_timeout=5) as connection:
                asked = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                found = connection.execute(asked).fetchone()
        except psycopg.OperationalError as error:
            raise UserError(f"{self.place}: {' '.join(str(error).split())}") from None
        return bool(found and found[0])

    def dump(self, folder: Path) -> Path:
        """Copies it whole, as of one moment, while others go on writing; returns the copy's path."""
        copy = folder / self.copy_name
        if self.kind == SQLITE:
            _copy_sqlite(self.file, copy)
        else:
            self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--no-comments", f"--file={copy}")
        return copy

    def restore(self, copy: Path) -> None:
        """Puts a copy where there is nothing. Raises UserError where there is something by now, or it is broken."""
        if self.kind == POSTGRESQL:
            how = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
            self._run("pg_restore", *how, f"--dbname={self.url.database}", str(copy))
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_name(f".{self.file.name}.partial")
        shutil.copyfile(copy, partial)
        try:
            os.link(partial, self.file)  # unlike a rename it never replaces another one
        except FileExistsError:
            raise UserError(f"{self.file}: is there by now; nothing of it was replaced") from None
        finally:
            partial.unlink()

    def _plain(self) -> str:
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def _run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs; the password is in its environment, where other users don't see it."""
        if shutil.which(program) is None:
            raise UserError(f"{program} is not installed; it comes with PostgreSQL's client (apt: postgresql-client)")
        said = {"PGHOST": self.url.host, "PGUSER": self.url.username, "PGPASSWORD": self.url.password}
        said |= {"PGDATABASE": self.url.database, "PGPORT": str(self.url.port or 5432)}
        environment = {**os.environ, **{name: str(value) for name, value in said.items() if value}}
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode:
            line = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:300])
            raise UserError(f"{self.place}: {line}")


def databases(environment: Mapping[str, str] = os.environ) -> list[Database]:
    """Prefect's, MLflow's with its users', and the reviews': those of the environment, else the files in var/."""
    prefect = next((environment[name] for name in PREFECT_ADDRESSES if environment.get(name)), None)
    mlflow = environment.get(MLFLOW_ADDRESS)
    if mlflow is None and environment.get("MLFLOW_TRACKING_URI", "").startswith("http") and not store.DATABASE.exists():
        raise UserError(
            f"MLflow is at {environment['MLFLOW_TRACKING_URI']}, and where its database is is not known here; set "
            f"{MLFLOW_ADDRESS} as its server has it"
        )
    found = [
        _database(PREFECT, prefect, PREFECT_FILE),
        _database(MLFLOW, mlflow, store.DATABASE),
        _database(REVIEWS, environment.get(reviews.ADDRESS_VARIABLE) or reviews.DEFAULT, Path()),
    ]
    users = [] if mlflow else [_database(USERS, None, store.USERS)]
    return [*found, *users]


def _database(name: str, address: str | None, file: Path) -> Database:
    try:
        url = make_url(address or f"sqlite:///{file}")
    except (ArgumentError, ValueError):
        raise UserError(f"the address of the database of {name} is none (it is not shown: a password)") from None
    if url.get_backend_name() not in (SQLITE, POSTGRESQL):
        raise UserError(f"{name}: a database of {url.get_backend_name()}; allowed: {SQLITE}, {POSTGRESQL}")
    return Database(name=name, url=url)


def _copy_sqlite(file: Path, copy: Path) -> None:
    """SQLite's own online backup; the copy is one file, checked."""
    with _connected(file) as source, _connected(copy) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        (answer,) = target.execute("PRAGMA integrity_check").fetchone()
    if answer != "ok":
        raise UserError(f"{file}: SQLite finds it damaged: {answer}")


def _connected(file: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(file, timeout=60))
