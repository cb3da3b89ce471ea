"""What is watched of the served model: metrics of one MLflow run, `drift`, a point for each look."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.registry import store
from tasks.registry.versions import in_one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "drift"


def log_drift(figures: Mapping[str, float], *, at: datetime) -> str:
    """Adds a point to each metric; returns the run's id. step: hours since 1970, so that the axis is time.

    Raises UserError where MLflow can't be reached; the same moment told twice is one point.
    """
    with in_one_line():
        from mlflow.entities import Metric

        client = store.connect()
        run = _run(client)
        at_ms = int(at.timestamp() * 1000)
        told = [Metric(name, value, at_ms, at_ms // 3_600_000) for name, value in figures.items()]
        client.log_batch(run, metrics=told)
        return run


def _run(client: "MlflowClient") -> str:
    """The one run that all looks go into."""
    experiment = store.experiment_id(client)
    found = client.search_runs([experiment], filter_string=f"tags.kind = '{KIND}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    run = client.create_run(experiment, run_name=KIND, tags={"kind": KIND})
    client.set_terminated(str(run.info.run_id))
    return str(run.info.run_id)
