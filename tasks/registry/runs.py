"""The runs of a chain in MLflow: one parent, one child a stage. Told twice, everything is stored once."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tasks import workspace
from tasks.registry import evidence
from tasks.registry.evidence import Lock, TrackedFile, portions
from tasks.registry.store import experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_METRICS, MAX_PARAMS = 1_000, 100  # of one call
MAX_VALUE = 6_000  # characters of a parameter

PARENT = "mlflow.parentRunId"  # the tags by which MLflow nests runs and shows the commit
COMMIT = "mlflow.source.git.commit"

OPEN = ("RUNNING", "SCHEDULED")


def now_ms() -> int:
    """Unix time in milliseconds, as MLflow counts it."""
    return time.time_ns() // 1_000_000


def start_chain(client: "MlflowClient", *, started_ms: int, origin: str) -> str:
    """A parent run; origin says who tells of it: `flow`, or `files` where a chain is told of afterwards."""
    name = f"chain {datetime.fromtimestamp(started_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%S}"
    tags = {"kind": "chain", "origin": origin, **workspace_tags()}
    run = client.create_run(experiment_id(client), start_time=started_ms, tags=tags, run_name=name)
    return str(run.info.run_id)


def start_stage(client: "MlflowClient", *, parent: str, stage: str, started_ms: int, attempt: int = 1) -> str:
    """A child run of a chain's."""
    tags = {"kind": "stage", "stage": stage, PARENT: parent, **workspace_tags()}
    name = stage if attempt == 1 else f"{stage} (attempt {attempt})"
    run = client.create_run(experiment_id(client), start_time=started_ms, tags=tags, run_name=name)
    return str(run.info.run_id)


def workspace_tags() -> dict[str, str]:
    """What ties a run to code and data: the commit, whether files differ from it, dvc.lock, the pipeline's run."""
    commit = workspace.commit()
    tags = {"dirty": str(workspace.is_dirty()).lower(), "dvc_lock_hash": workspace.lock_hash() or "none"}
    tags |= {COMMIT: commit} if commit else {"git": "none"}
    pipeline = os.environ.get("FLEDGLING_PIPELINE_RUN")
    return {**tags, "pipeline_run": pipeline} if pipeline else tags


def log_params(client: "MlflowClient", run: str, params: Mapping[str, str]) -> None:
    """Parameters, cut to what MLflow takes."""
    from mlflow.entities import Param

    entities = [Param(key, value[:MAX_VALUE]) for key, value in params.items()]
    for portion in portions(entities, MAX_PARAMS):
        client.log_batch(run, params=portion)


def log_figures(
    client: "MlflowClient", run: str, figures: Mapping[str, float], *, at_ms: int, model_id: str | None = None
) -> None:
    """Figures without a step; with model_id they also stand on the logged model."""
    from mlflow.entities import Metric

    log_metrics(client, run, [Metric(key, value, at_ms, 0, model_id=model_id) for key, value in figures.items()])


def log_metrics(client: "MlflowClient", run: str, metrics: "list[Any]") -> None:
    """Metrics with their own time stamps, in portions."""
    for portion in portions(metrics, MAX_METRICS):
        client.log_batch(run, metrics=portion)


def log_inputs(client: "MlflowClient", run: str, files: Iterable[TrackedFile], *, context: str) -> None:
    """A dataset input for each file that DVC holds, with the hash of its bytes; context: what it was read for."""
    inputs = [_dataset_input(file, context) for file in files]
    if inputs:
        client.log_inputs(run, datasets=inputs)


def _dataset_input(file: TrackedFile, context: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": file.path})
    dataset = Dataset(name=file.path, digest=file.md5, source_type="local", source=source)
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context), InputTag("dvc_md5", file.md5)])


def log_stage(client: "MlflowClient", run: str, stage: str, *, lock: Lock, ended_ms: int) -> None:
    """What a stage left: its figures, its timings, its inputs, the hashes of dvc.lock and of its own outs."""
    log_figures(client, run, {**evidence.figures(stage), **evidence.timings(stage)}, at_ms=ended_ms)
    log_inputs(client, run, lock.inputs(stage), context=stage)
    set_tags(client, run, {"dvc_lock_hash": workspace.lock_hash() or "none", "outs_key": lock.outs_key(stage)})


def set_tags(client: "MlflowClient", run: str, tags: Mapping[str, str]) -> None:
    """Tags of a run, in one call."""
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])


def end(client: "MlflowClient", run: str, *, status: str, ended_ms: int) -> None:
    """Closes a run: FINISHED, FAILED or KILLED."""
    client.set_terminated(run, status=status, end_time=ended_ms)


def children(client: "MlflowClient", parent: str) -> "list[Any]":
    """The runs of a chain's stages."""
    experiment = client.get_run(parent).info.experiment_id
    return list(client.search_runs([experiment], filter_string=f"tags.`{PARENT}` = '{parent}'"))


def chain_from_files(client: "MlflowClient", lock: Lock) -> str:
    """A chain that nobody told of while it ran (`dvc repro`): its runs, made from the files it left."""
    at_ms = now_ms()
    parent = start_chain(client, started_ms=at_ms, origin="files")
    for stage in lock.stages:
        seconds = evidence.timings(stage).get("seconds", 0.0)
        child = start_stage(client, parent=parent, stage=stage, started_ms=at_ms - round(seconds * 1000))
        log_params(client, child, lock.params(stage))
        log_stage(client, child, stage, lock=lock, ended_ms=at_ms)
        end(client, child, status="FINISHED", ended_ms=at_ms)
    end(client, parent, status="FINISHED", ended_ms=now_ms())
    return parent


def complete(client: "MlflowClient", parent: str, lock: Lock) -> None:
    """Sends what is missing of a chain whose telling broke off: runs of it that are still open."""
    for run in children(client, parent):
        if run.info.status in OPEN:
            log_stage(client, run.info.run_id, run.data.tags["stage"], lock=lock, ended_ms=now_ms())
            end(client, run.info.run_id, status="FINISHED", ended_ms=now_ms())
    if client.get_run(parent).info.status in OPEN:
        end(client, parent, status="FINISHED", ended_ms=now_ms())
