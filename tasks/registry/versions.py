"""The versions of the registered model: which one a number or an alias means, and what there is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.gating.champion import NAME as NAME
from tasks.registry import store
from tasks.stage import UserError
from tasks.telemetry import OFF

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous_champion"  # aliases


def registry() -> "MlflowClient":
    """A client of the registry that there is. Raises UserError where none was made yet."""
    if not store.is_there():
        raise UserError(f"there is no registry yet ({store.DATABASE}); `make pipeline` makes it, and a model in it")
    return store.connect()


@contextmanager
def in_one_line() -> Iterator[None]:
    """Has what MLflow raises within become a UserError that names its address."""
    os.environ.update(OFF)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"MLflow at {store.tracking_uri()}: {line}") from error


def number_of(client: "MlflowClient", version: str) -> int:
    """The number of the version that is meant. Raises UserError with what there is instead."""
    numbers = [int(found.version) for found in client.search_model_versions(f"name='{NAME}'")]
    if not numbers:
        raise UserError(f"the registry holds no version of '{NAME}'; `make pipeline` registers one")
    named = aliases(client)
    meant = str(named.get(version, version))
    if meant not in map(str, numbers):
        there_is = ", ".join([*map(str, sorted(numbers)), *sorted(named)])
        raise UserError(f"the registry has no version or alias '{version}' of '{NAME}'; there is {there_is}")
    return int(meant)


def aliases(client: "MlflowClient") -> dict[str, int]:
    """The version of each alias; none before the first version."""
    models = client.search_registered_models(f"name='{NAME}'")
    return {alias: int(number) for model in models for alias, number in model.aliases.items()}


def now() -> str:
    """The moment, as tags on a version keep it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
