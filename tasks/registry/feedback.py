"""People's decisions as HUMAN feedback on the traces of the answers, beside what the judges said. Sent once.

Decisions alone: what measures a reviewer (gold items, repeats) says nothing of a model.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from tasks.registry import store
from tasks.registry.traces import TracedAnswer, answer_trace, find_traces
from tasks.reviews.batch_file import Answer, Feedback
from tasks.reviews.database import Database
from tasks.reviews.decisions import BOTH_BAD, TIE
from tasks.reviews.rows import rows_of
from tasks.reviews.tables import Export
from tasks.stage import STATE, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Trace

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a decision says of one answer: a name and a value of MLflow's, and what it was said beside."""

    name: str
    value: str | int
    metadata: Mapping[str, str]


def mirror(database: Database, *, now: datetime) -> int:
    """Sends the decisions of every collected batch that MLflow does not have; returns how many assessments were new.

    Raises UserError where MLflow can't be reached; what was sent is not sent again.
    """
    from fasteners import InterProcessLock  # type: ignore[import-untyped,unused-ignore]

    lock = STATE / "review" / "mirroring.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with InterProcessLock(lock):
        with database.reading() as session:
            waits = (Export.mirrored_at.is_(None), Export.written_at.is_not(None))
            waiting = session.scalars(select(Export.id).where(*waits).order_by(Export.id)).all()
        return _mirror_all(database, waiting, now=now) if waiting else 0


def _mirror_all(database: Database, exports: Sequence[int], *, now: datetime) -> int:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return sum(_mirror_one(database, export, now=now) for export in exports)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"MLflow at {store.tracking_uri()}: {line}; the batch files are safe") from error


def said_of(row: Feedback, answer: Answer) -> Iterator[Said]:
    """What a decision says of an answer of it: chosen or not, its place, its level on each axis, its correction."""
    others = ",".join(other.generation for other in row.answers if other != answer)
    beside = {"beside": others} if others else {}
    if row.kind == "choice":
        winner = row.decision["winner"]
        told = {TIE: "tie", BOTH_BAD: "both bad", answer.generation: "chosen"}.get(winner, "not chosen")
        yield Said(name="choice", value=told, metadata=beside)
    elif row.kind == "ranking":
        tiers = row.decision["tiers"]
        place = next(at for at, tier in enumerate(tiers, start=1) if answer.generation in tier)
        yield Said(name="rank", value=place, metadata={**beside, "tiers": str(len(tiers))})
    elif row.kind == "rating":
        for axis, level in row.decision["scores"].items():
            yield Said(name=axis, value=level, metadata={})
    else:
        yield Said(name="correction", value=row.decision["text"], metadata={})


def _mirror_one(database: Database, export: int, *, now: datetime) -> int:
    with database.reading() as session:
        rows = [row for row in rows_of(session, export) if row.purpose == "ordinary"]
    client = store.connect()
    sent = _send(client, rows)
    with database.session() as session:
        session.get_one(Export, export).mirrored_at = now
    return sent


def _send(client: "MlflowClient", rows: Sequence[Feedback]) -> int:
    import mlflow

    experiment = store.experiment_id(client)
    shown = {answer.judged_item: (row, answer) for row in rows for answer in row.answers}
    traces = {item: _trace(client, experiment, item) for item in shown}
    missing = [item for item, trace in traces.items() if trace is None]
    for item in missing:
        _log_trace(*shown[item], experiment=experiment)
    mlflow.flush_trace_async_logging()
    traces |= {item: _trace(client, experiment, item) for item in missing}
    return sum(_log(traces[answer.judged_item], row, answer) for row in rows for answer in row.answers)


def _trace(client: "MlflowClient", experiment: str, item: str) -> "Trace | None":
    """The newest trace of an answer, by the id that judges know it by."""
    return next(iter(find_traces(client, experiment, tag="item", value=item, most=1)), None)


def _log_trace(row: Feedback, answer: Answer, *, experiment: str) -> None:
    told = TracedAnswer(
        item=answer.judged_item,
        prompt_id=row.prompt.id,
        kind=row.prompt.task,
        prompt=row.prompt.text,
        answer=answer.text,
        by=answer.model,
        model_version=answer.model_version,
        decoding=answer.decoding,
    )
    with answer_trace(told, experiment=experiment):
        pass  # what people say comes later


def _log(trace: "Trace | None", row: Feedback, answer: Answer) -> int:
    """Adds what a decision says of an answer to its trace; returns how much of it was not there yet."""
    import mlflow
    from mlflow.entities import AssessmentSource

    if trace is None:
        raise OSError(f"the trace of answer {answer.judged_item} did not arrive")
    there = {_key(one.name, one.metadata or {}) for one in trace.info.assessments or ()}
    about = {"annotation": str(row.annotation), "batch": row.batch, "item": row.item, "answer": answer.generation}
    source = AssessmentSource(source_type="HUMAN", source_id=row.reviewer)
    new = [said for said in said_of(row, answer) if _key(said.name, about) not in there]
    for said in new:
        mlflow.log_feedback(
            trace_id=trace.info.trace_id,
            name=said.name,
            value=said.value,
            source=source,
            metadata={**about, **said.metadata},
        )
    return len(new)


def _key(name: str, about: Mapping[str, str]) -> tuple[str, ...]:
    """What an assessment is known by: sent twice, it is there once."""
    return name, about.get("batch", ""), about.get("annotation", ""), about.get("answer", "")
