"""The steps that the tables took (Alembic); a database with data goes through those it has not yet had.

A new one: change tasks/reviews/tables.py, write versions/<number>_<what>.py; a test compares the two.
"""

import threading
from functools import cache
from typing import Any

from sqlalchemy import Connection, text

LOCK = 5_226_931_017  # of PostgreSQL's advisory locks: any number that nobody else takes
_TURN = threading.Lock()  # Alembic's context is one a process


def upgrade(connection: Connection, to: str = "head") -> None:
    """Takes the missing steps in the connection's transaction: all or none."""
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    with _TURN:
        command.upgrade(configuration, to)


def wait_for_others(connection: Connection) -> None:
    """Holds whoever else migrates until this transaction ends (SQLite's BEGIN IMMEDIATE already does)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def revision(connection: Connection) -> str | None:
    """The last step that the database took; None: it has no tables yet."""
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


@cache
def head() -> str:
    """The last step there is."""
    return str(_scripts().get_current_head())


def is_known(found: str) -> bool:
    """Whether a step is one of these."""
    return found in {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> Any:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_configuration())


def _configuration() -> Any:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", "tasks.reviews:migrations")
    return configuration
