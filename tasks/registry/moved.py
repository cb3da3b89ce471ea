"""A folder that was moved or copied: MLflow's own database names absolute folders, those of the place it was made in.

MLflow makes any local path absolute when an experiment is created, and `mlflow-artifacts:` needs a server: there is no
relative address for a database without one. So the addresses are rewritten, all in one transaction.
"""

import contextlib
import logging
import sqlite3
from pathlib import Path

log = logging.getLogger(__name__)

_ADDRESSES = (  # of MLflow 3.17; a column that is not there is an error, never a silent half
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),  # mlflow.artifactLocation
)


def follow(database: Path, artifacts: Path, *, experiment: str) -> bool:
    """Has the database name the folder `artifacts` where its experiment names another; returns whether it did.

    A database that came without its artifacts is left alone: what it names is still the only copy.
    """
    now = artifacts.absolute().as_uri()
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
        before = str(found[0]) if found else now
        if before == now or not before.startswith("file:") or not artifacts.is_dir():
            return False
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - both names stand above
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
            )
    log.info("this folder was moved: MLflow's database named %s, and names %s now", before, now)
    return True
