"""Keeps the way of a version where people look: a page in var/report, and with the version's run in MLflow."""

import logging
from typing import TYPE_CHECKING

from tasks.provenance.artifacts import TRACE
from tasks.provenance.page import write_page
from tasks.provenance.version import trace_version
from tasks.registry.versions import NAME
from tasks.report import TRACE_PAGE as PAGE
from tasks.stage import UserError, write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def record(client: "MlflowClient", number: int) -> None:
    """Writes the page and the JSON of a version's way, and logs both on its run; replaces what was told before.

    What can't be told is a warning: the version stands without it.
    """
    from mlflow.exceptions import MlflowException

    try:
        _record(client, number)
    except (UserError, MlflowException, OSError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        log.warning("where version %s comes from was not written down: %s", number, line)


def _record(client: "MlflowClient", number: int) -> None:
    way = trace_version(client, number)
    told = PAGE.with_name(TRACE)
    write_page(PAGE, way)
    write_text(told, way.model_dump_json(indent=2) + "\n")
    run = client.get_model_version(NAME, str(number)).run_id
    for path in (PAGE, told):
        client.log_artifact(run, str(path))
