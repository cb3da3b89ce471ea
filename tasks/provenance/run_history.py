"""The MLflow runs that made a version: the chain's, its stages', and earlier runs of the stages that were not stale."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tasks.provenance.way import Run, Runs
from tasks.registry import runs
from tasks.registry.evidence import Lock

if TYPE_CHECKING:
    from mlflow import MlflowClient


def runs_of(client: "MlflowClient", version: Any, lock: Lock) -> Runs:
    """The runs of a version; chain None where MLflow does not have it any more."""
    from mlflow.exceptions import MlflowException

    try:
        chain = client.get_run(version.run_id)
    except MlflowException:
        return Runs(chain=None, stages=(), pipeline_run=None, also=())
    own = sorted(runs.children(client, version.run_id), key=lambda run: int(run.info.start_time))
    done = {run.data.tags.get("stage") for run in own if run.info.status == "FINISHED"}
    missing = [stage for stage in lock.stages if stage not in done]
    experiment, until = chain.info.experiment_id, version.creation_timestamp
    earlier = [run for stage in missing for run in _earlier(client, experiment, stage, lock, until_ms=until)]
    order = {stage: at for at, stage in enumerate(lock.stages)}
    stages = [*(_run(run, is_of_chain=False) for run in earlier), *(_run(run, is_of_chain=True) for run in own)]
    return Runs(
        chain=_run(chain, is_of_chain=True),
        stages=tuple(sorted(stages, key=lambda run: (run.started, order.get(run.stage, len(order))))),
        pipeline_run=chain.data.tags.get("pipeline_run"),
        also=tuple(_also(client, experiment, version)),
    )


def _earlier(client: "MlflowClient", experiment: str, stage: str, lock: Lock, *, until_ms: int) -> Iterator[Any]:
    """The last run of a stage before a time that made the bytes which the lock names; none where none says so."""
    chosen = (
        f"tags.kind = 'stage' AND tags.stage = '{stage}' AND tags.outs_key = '{lock.outs_key(stage)}' "
        f"AND attributes.status = 'FINISHED' AND attributes.start_time <= {until_ms}"
    )
    order = ["attributes.start_time DESC"]
    yield from client.search_runs([experiment], filter_string=chosen, order_by=order, max_results=1)


def _also(client: "MlflowClient", experiment: str, version: Any) -> Iterator[str]:
    chosen = f"tags.kind = 'chain' AND tags.model_version = '{version.name}/{version.version}'"
    for run in client.search_runs([experiment], filter_string=chosen):
        if run.info.run_id != version.run_id:
            yield str(run.info.run_id)


def _run(run: Any, *, is_of_chain: bool) -> Run:
    info = run.info
    ended = info.end_time
    return Run(
        id=info.run_id,
        name=info.run_name,
        stage=run.data.tags.get("stage", ""),
        status=info.status,
        started=datetime.fromtimestamp(info.start_time / 1000, tz=UTC).isoformat(timespec="seconds"),
        seconds=None if ended is None else round((ended - info.start_time) / 1000, 1),
        is_of_chain=is_of_chain,
    )
