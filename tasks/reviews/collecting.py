"""Makes batch files of full batches: claimed in one transaction of the database, then written, then given to DVC.

A collection that was killed is ended by the next one, with the same bytes.
"""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from tasks.reviews import chains, filing
from tasks.reviews.batch_file import FEEDBACK, SUFFIX, Feedback, LeftOut, Manifest, text_of
from tasks.reviews.database import Database
from tasks.reviews.filing import Collected
from tasks.reviews.kinds import Values
from tasks.reviews.params import ReviewParams
from tasks.reviews.progress import counts
from tasks.reviews.rows import purpose_of, row
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Export, Exported, Item
from tasks.stage import UserError

if TYPE_CHECKING:
    from tasks.evaluation.intervals import Score

log = logging.getLogger(__name__)


def collect(
    database: Database,
    *,
    params: ReviewParams,
    now: datetime,
    folder: Path = FEEDBACK,
    batch: str | None = None,
    early: bool = False,
) -> list[Collected]:
    """Makes a batch file of each full batch, and of answers that came after a batch was collected.

    batch: that one alone (a file of it that is missing here is written again); early: though it is not full. A
    collected batch is closed. Answers of reviewers who fail a check of quality stay in the database. Raises
    UserError where the named batch does not exist or is not full, and where a file is not what it was.
    """
    with database.reading() as session:
        names = [_checked(session, batch, early=early)] if batch else _due(session)
    claimed = []
    for name in names:
        with database.session() as session:
            claimed += _claim(session, name, params=params, now=now, early=early)
    return filing.written(database, folder, now=now, batch=batch, claimed=claimed)


def _checked(session: Session, name: str, *, early: bool) -> str:
    batch = session.get(Batch, name)
    if batch is None:
        known = session.scalars(select(Batch.id).order_by(Batch.published_at)).all()
        raise UserError(f"there is no batch '{name}'; there are: {', '.join(known) or 'none'}")
    done, wanted = counts(session, batch)
    if batch.closed_at is None and not early and not 0 < wanted <= done:
        raise UserError(f"{name} has {done} of {wanted} answers; --early collects and closes it as it is")
    if not done:
        raise UserError(f"{name} has no answers yet")
    return name


def _due(session: Session) -> list[str]:
    """Full open batches, and closed ones to which answers came late."""
    batches = session.scalars(select(Batch).order_by(Batch.published_at, Batch.id)).all()
    return [batch.id for batch in batches if _is_due(session, batch)]


def _is_due(session: Session, batch: Batch) -> bool:
    if batch.closed_at is None:
        done, wanted = counts(session, batch)
        return 0 < wanted <= done
    late = (
        select(Annotation.id)
        .join(Annotation.item)
        .join(Annotation.assignment)
        .where(Item.batch_id == batch.id, Item.gold.is_(None), Assignment.slot.in_(ORDINARY_SLOTS))
        .where(Annotation.action == "answer", chains.in_force(), _is_not_exported())
    )
    return session.scalar(late.limit(1)) is not None


def _is_not_exported() -> ColumnElement[bool]:
    return ~exists().where(Exported.annotation_id == Annotation.id)


def _claim(session: Session, name: str, *, params: ReviewParams, now: datetime, early: bool) -> list[int]:
    """Puts the batch's answers under one export and closes it; returns the export's id, nothing where there are none.

    The batch's row is locked: nobody answers, takes back or collects meanwhile.
    """
    from tasks.reviews import quality

    query = select(Batch).where(Batch.id == name).with_for_update()
    batch = session.scalars(query.execution_options(populate_existing=True)).one()
    if not _is_due(session, batch) and not (early and batch.closed_at is None):
        return []  # somebody else was quicker
    exported = set(session.scalars(select(Exported.annotation_id).join(Export).where(Export.batch_id == name)))
    found = [one for one in chains.live(session, batch=name) if one.id not in exported]
    failing = quality.failing(session, params.quality, now)
    kept = [one for one in found if one.reviewer_id not in failing]
    if not any(purpose_of(one) == "ordinary" for one in kept):
        if batch.closed_at is None:
            log.warning("%s: no answers of reviewers who pass the checks of quality; nothing is collected", name)
        return []
    left_out = _left_out([one for one in found if one.reviewer_id in failing], failing)
    export = _export(session, batch, list(map(row, kept)), left_out, params=params, now=now)
    session.add_all(Exported(annotation_id=one.id, export_id=export.id) for one in kept)
    batch.closed_at = batch.closed_at or now
    return [export.id]


def _left_out(annotations: Sequence[Annotation], failing: Mapping[int, str]) -> tuple[LeftOut, ...]:
    rows = Counter((one.reviewer.pseudonym, failing[one.reviewer_id]) for one in annotations)
    return tuple(LeftOut(reviewer=name, rows=count, reason=why) for (name, why), count in sorted(rows.items()))


def _export(
    session: Session, batch: Batch, rows: Sequence[Feedback], left_out: tuple[LeftOut, ...], *, params: ReviewParams,
    now: datetime,
) -> Export:  # fmt: skip
    number = 1 + (session.scalar(select(func.max(Export.number)).where(Export.batch_id == batch.id)) or 0)
    manifest = Manifest(
        batch=batch.id,
        number=number,
        file=f"{batch.id}{SUFFIX}" if number == 1 else f"{batch.id}-{number}{SUFFIX}",
        sha256=hashlib.sha256(text_of(rows).encode()).hexdigest(),
        rows=len(rows),
        source=batch.source,
        published=batch.published_at.date(),
        collected=now.date(),
        kinds=Counter(row.kind for row in rows),
        tasks=Counter(row.prompt.task for row in rows),
        splits=Counter(row.prompt.split for row in rows),
        purposes=Counter(row.purpose for row in rows),
        reviewers=Counter(row.reviewer for row in rows),
        judges=tuple(sorted({str(row.judge["judge"]) for row in rows if "judge" in row.judge})),
        left_out=left_out,
        agreement=_agreement(rows, params),
        settings=dict(batch.settings),
    )
    values = manifest.model_dump(mode="json")
    export = Export(
        batch_id=batch.id, number=number, file=manifest.file, manifest=values, manifest_sha256=manifest.hash, at=now
    )
    session.add(export)
    session.flush()
    return export


def _agreement(rows: Sequence[Feedback], params: ReviewParams) -> Values:
    """How far two people who saw the same item agree: of all choices and rankings, and of each axis of a rating."""
    from tasks.evaluation.intervals import Bootstrap
    from tasks.reviews.agreement import PAIRS, agreement, votes_of

    votes = [
        vote
        for row in rows
        if row.purpose == "ordinary"
        for vote in votes_of(row.kind, row.decision, item=row.item, shown=row.generations, by=row.reviewer)
    ]
    quality = params.quality
    bootstrap = Bootstrap(resamples=quality.bootstrap, confidence=quality.confidence, seed=params.seed)
    return {
        "preferences" if scale == PAIRS else scale: {
            "units": told.units, "alpha": _figures(told.alpha), "same": _figures(told.same)
        }
        for scale, told in agreement(votes, bootstrap=bootstrap).items()
        if told.units
    }  # fmt: skip


def _figures(score: "Score") -> list[float | None]:
    """The figure and the ends of its interval, None where there is none."""
    return [None if math.isnan(one) else float(f"{one:.6g}") for one in (score.value, score.low, score.high)]
