"""How far a reviewer and a batch are, and which batches are full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from tasks.reviews.answering import can_be_taken_back, undoable
from tasks.reviews.chains import in_force
from tasks.reviews.leasing import still_wanted
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Item, Reviewer

RECENT = 50  # answers that the median time is of
MOST_UNDOABLE = 10


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Of a reviewer and of the batch they are in. left: cards that they hold or can still be given."""

    done: int
    left: int
    batch_done: int
    batch_quota: int
    median_ms: float | None
    undoable: int


def progress(session: Session, reviewer: Reviewer, *, now: datetime, undo_last: int = MOST_UNDOABLE) -> Progress:
    """Where a reviewer is; of the batch that was published first and is not yet full."""
    batch = _batch(session)
    done, quota = counts(session, batch) if batch else (0, 0)
    times = _times(session, reviewer)
    return Progress(
        done=_answered(session, reviewer),
        left=_left(session, reviewer, now),
        batch_done=done,
        batch_quota=quota,
        median_ms=float(median(times)) if times else None,
        undoable=_undoable(session, reviewer, undo_last),
    )


def counts(session: Session, batch: Batch) -> tuple[int, int]:
    """(done, wanted) of a batch's ordinary assignments; those of items set aside or made gold are not wanted."""
    done = _slots(session, batch, Assignment.done_at.is_not(None))
    waiting = _slots(session, batch, Assignment.done_at.is_(None) & Item.set_aside_at.is_(None))
    return done, min(batch.quota, done + waiting)


def full_batches(session: Session) -> list[str]:
    """Open batches whose quota is met and of which nobody was told yet."""
    waiting = select(Batch).where(Batch.full_told_at.is_(None), Batch.closed_at.is_(None)).order_by(Batch.published_at)
    return [batch.id for batch in session.scalars(waiting) if _is_full(*counts(session, batch))]


def tell_full(session: Session, batch: str, now: datetime) -> None:
    """Notes that somebody was told that a batch is full."""
    session.execute(update(Batch).where(Batch.id == batch, Batch.full_told_at.is_(None)).values(full_told_at=now))


def _is_full(done: int, wanted: int) -> bool:
    return done > 0 and done >= wanted


def _batch(session: Session) -> Batch | None:
    """The first open batch that is not full, else the last open one."""
    batches = session.scalars(select(Batch).where(Batch.closed_at.is_(None)).order_by(Batch.published_at)).all()
    return next((batch for batch in batches if not _is_full(*counts(session, batch))), batches[-1] if batches else None)


def _slots(session: Session, batch: Batch, condition: ColumnElement[bool]) -> int:
    query = (
        select(func.count())
        .select_from(Assignment)
        .join(Assignment.item)
        .where(Item.batch_id == batch.id, Item.gold.is_(None), Assignment.slot.in_(ORDINARY_SLOTS), condition)
    )
    return session.scalar(query) or 0


def _answered(session: Session, reviewer: Reviewer) -> int:
    own = (Annotation.reviewer_id == reviewer.id, Annotation.action == "answer", in_force())
    return session.scalar(select(func.count()).select_from(Annotation).where(*own)) or 0


def _left(session: Session, reviewer: Reviewer, now: datetime) -> int:
    holds = (Assignment.reviewer_id == reviewer.id) & Assignment.done_at.is_(None) & Batch.closed_at.is_(None)
    free = still_wanted(reviewer.id) & (Assignment.reviewer_id.is_(None) | (Assignment.lease_until < now))
    query = select(func.count(Item.id.distinct())).select_from(Assignment).join(Assignment.item).join(Item.batch)
    return session.scalar(query.where(holds | free)) or 0


def _times(session: Session, reviewer: Reviewer) -> Sequence[int]:
    own = (Annotation.reviewer_id == reviewer.id, Annotation.action == "answer", in_force())
    return session.scalars(
        select(Annotation.milliseconds).where(*own).order_by(Annotation.id.desc()).limit(RECENT)
    ).all()


def _undoable(session: Session, reviewer: Reviewer, undo_last: int) -> int:
    count = 0
    for annotation in undoable(session, reviewer.id, undo_last=undo_last):
        if not can_be_taken_back(session, annotation):
            break
        count += 1
    return count
