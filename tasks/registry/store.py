"""Where MLflow keeps its runs: MLFLOW_TRACKING_URI where it is set, else a database in var/mlflow."""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.registry import moved
from tasks.stage import STATE
from tasks.telemetry import OFF

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "fledgling"
DATABASE = STATE / "mlflow" / "mlflow.db"
ARTIFACTS = STATE / "mlflow" / "artifacts"
USERS = STATE / "mlflow" / "users.db"  # the logins of its server; on PostgreSQL they are in its own database

_SETTINGS = {
    **OFF,
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_IMPATIENT = {  # a server that is down is noticed in seconds; MLflow's own settings try for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def tracking_uri() -> str:
    """The address of the tracking server, or of the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE.absolute()}"


def is_there() -> bool:
    """Whether there is a store to ask: the one that was named, or the project's own, once it was made."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or DATABASE.exists()


def connect() -> "MlflowClient":
    """A client of the store, which is made first where it is the project's own and does not exist yet."""
    os.environ.update(_SETTINGS)
    for name, value in _IMPATIENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    uri = tracking_uri()
    if _is_own(uri):
        if not DATABASE.exists():
            _make_database(DATABASE.absolute())
        follow_the_folder()
    mlflow.set_tracking_uri(uri)  # a model version's source, models:/<id>, is looked up there and not at the client's
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def follow_the_folder() -> None:
    """Has the project's own database, where there is one, name this folder: it may have been moved."""
    if DATABASE.exists():
        moved.follow(DATABASE, ARTIFACTS, experiment=EXPERIMENT)


def has_champion() -> bool:
    """Whether the project's own database names one; read without MLflow, which takes seconds to import."""
    if not DATABASE.exists():
        return False
    asked = "SELECT 1 FROM registered_model_aliases WHERE alias = 'champion' LIMIT 1"
    try:
        with contextlib.closing(sqlite3.connect(f"{DATABASE.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(asked).fetchone() is not None
    except sqlite3.Error:
        return False


def experiment_id(client: "MlflowClient") -> str:
    """The id of the one experiment, made where there is none. Raises MlflowException where it was deleted."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = ARTIFACTS.absolute().as_uri() if _is_own(tracking_uri()) else None
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:
        found = client.get_experiment_by_name(EXPERIMENT)  # another process was a moment faster
        if found is None:
            raise
        return str(found.experiment_id)


def _is_own(uri: str) -> bool:
    return uri == f"sqlite:///{DATABASE.absolute()}"


def _make_database(path: Path) -> None:
    """Makes MLflow's tables in a file beside, then moves it in place: a killed process leaves no half of them.

    Some fifty migrations, each waiting for the disk, take 4 s; not waiting for it, 1.3 s.
    """
    import mlflow
    from sqlalchemy import Engine, event

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")

    def do_not_wait(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", do_not_wait)
    try:
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
    finally:
        event.remove(Engine, "connect", do_not_wait)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(partial, path)  # unlike a rename it never replaces another process's database
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)
