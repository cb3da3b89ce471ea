"""Whether there is a champion to serve: asked of the project's own database, or of an MLflow server."""

import os

import httpx

from fledgling import logins
from fledgling.platform.api import client
from tasks.registry import store

_ALIAS = "/api/2.0/mlflow/registered-models/alias"


def is_there() -> bool:
    """Whether the alias is given. A server that does not answer has none for now."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not address.startswith("http"):
        return store.has_champion()
    user, password = os.environ.get(logins.MLFLOW_USER, ""), os.environ.get(logins.MLFLOW_PASSWORD, "")
    try:
        answer = client().get(
            f"{address.rstrip('/')}{_ALIAS}", params={"name": store.EXPERIMENT, "alias": "champion"},
            auth=(user, password) if password else None,
        )  # fmt: skip
    except httpx.HTTPError:
        return False
    return answer.is_success
