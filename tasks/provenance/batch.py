"""The way of a batch of reviews: who decided, and which model versions learnt from it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasks.provenance.artifacts import as_registered
from tasks.provenance.batches import batch_files
from tasks.provenance.held import Held
from tasks.provenance.learnt import learnt_of
from tasks.provenance.locked import find_lock
from tasks.provenance.version import moment
from tasks.provenance.way import BatchWay, Learner, Learnt
from tasks.registry.versions import NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient


def trace_batch(client: "MlflowClient | None", batch: str) -> BatchWay:
    """The way of a batch; client: None where there is no registry, and so no version that could have learnt of it."""
    versions = client.search_model_versions(f"name='{NAME}'") if client else []
    learners, unknown = [], []
    held = Held()
    for version in sorted(versions, key=lambda found: int(found.version)):
        learnt = _learnt(client, version, held)
        if learnt is None:
            unknown.append(f"version {version.version}: what it learnt from is not here")
        else:
            learners += list(_learners(client, version, learnt, batch))
    return BatchWay(batch=batch, files=batch_files(batch), learners=tuple(learners), not_found=tuple(unknown))


def _learnt(client: Any, version: Any, held: Held) -> tuple[Learnt, ...] | None:
    found = find_lock(version.tags)
    learnt = learnt_of(found.lock, held, until=moment(version.creation_timestamp)[:10]) if found else None
    if learnt is not None:
        return learnt
    before = as_registered(client, version)
    return before.batches if before else None


def _learners(client: Any, version: Any, learnt: tuple[Learnt, ...], batch: str) -> Iterator[Learner]:
    for one in learnt:
        if one.batch == batch:
            aliases = client.get_model_version(NAME, version.version).aliases  # a search leaves them out
            yield Learner(
                version=int(version.version),
                aliases=tuple(sorted(aliases)),
                preferences=one.preferences,
                examples=one.examples,
            )
