"""Files that MLflow keeps of a run, read whole."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tasks.provenance.way import VersionWay

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACE = "trace.json"


def read(client: "MlflowClient", run: str, path: str) -> bytes | None:
    """An artifact's bytes, or None where the run has no such artifact."""
    folder = path.rpartition("/")[0]
    if path not in {found.path for found in client.list_artifacts(run, folder or None)}:
        return None
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        return Path(client.download_artifacts(run, path, scratch)).read_bytes()


def as_registered(client: "MlflowClient", version: Any) -> VersionWay | None:
    """The way as it was told when the version was registered; None where none was, or by another schema."""
    data = read(client, version.run_id, TRACE)
    try:
        return None if data is None else VersionWay.model_validate_json(data)
    except ValidationError:
        return None
