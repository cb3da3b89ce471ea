"""How far a reviewer and a batch are, and which batches are full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, aliased

from tasks.reviews.answering import undoable
from tasks.reviews.chains import in_force
from tasks.reviews.leasing import open_batches
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Item, Reviewer

RECENT = 50  # answers that the median time is of
MOST_UNDOABLE = 10


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Of a reviewer and of the batch they are in. left: cards that wait for an answer and may come to them."""

    done: int
    left: int
    batch_done: int
    batch_quota: int
    median_ms: float | None
    undoable: int


def progress(session: Session, reviewer: Reviewer, *, now: datetime, undo_last: int = MOST_UNDOABLE) -> Progress:
    """Where a reviewer is; of the batch that was published first and is not yet full."""
    batches = [_Counted.of(session, batch) for batch in open_batches(session)]
    first = next((batch for batch in batches if not batch.is_full), batches[-1] if batches else _Counted())
    times = _times(session, reviewer)
    return Progress(
        done=_answered(session, reviewer),
        left=sum(batch.waiting for batch in batches)
        - _not_theirs(session, reviewer)
        + _theirs_alone(session, reviewer),
        batch_done=first.done,
        batch_quota=first.wanted,
        median_ms=float(median(times)) if times else None,
        undoable=len(undoable(session, reviewer.id, undo_last=undo_last)),
    )


def counts(session: Session, batch: Batch) -> tuple[int, int]:
    """(done, wanted) of a batch's ordinary assignments; of items that were set aside no more is wanted."""
    counted = _Counted.of(session, batch)
    return counted.done, counted.wanted


def full_batches(session: Session) -> list[str]:
    """Open batches whose quota is met and of which nobody was told yet."""
    untold = [batch for batch in open_batches(session) if batch.full_told_at is None]
    return [batch.id for batch in untold if _Counted.of(session, batch).is_full]


def tell_full(session: Session, batch: str, now: datetime) -> None:
    """Notes that somebody was told that a batch is full."""
    session.execute(update(Batch).where(Batch.id == batch, Batch.full_told_at.is_(None)).values(full_told_at=now))


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """A batch's ordinary assignments, without those that wait for an item that was set aside."""

    done: int = 0
    waiting: int = 0
    quota: int = 0

    @classmethod
    def of(cls, session: Session, batch: Batch) -> "_Counted":
        waits = Assignment.done_at.is_(None)
        set_aside = select(Item.id).where(Item.batch_id == batch.id, Item.set_aside_at.is_not(None))
        return cls(
            done=_count(session, batch, Assignment.done_at.is_not(None)),
            waiting=_count(session, batch, waits) - _count(session, batch, waits, Assignment.item_id.in_(set_aside)),
            quota=batch.quota,
        )

    @property
    def wanted(self) -> int:
        """How many answers fill it: the quota, or fewer where that many can't come any more."""
        return min(self.quota, self.done + self.waiting)

    @property
    def is_full(self) -> bool:
        return 0 < self.done >= self.wanted


def _count(session: Session, batch: Batch, *conditions: ColumnElement[bool]) -> int:
    ordinary = (Assignment.batch_id == batch.id, Assignment.slot.in_(ORDINARY_SLOTS))
    return session.scalar(select(func.count()).select_from(Assignment).where(*ordinary, *conditions)) or 0


def _not_theirs(session: Session, reviewer: Reviewer) -> int:
    """Slots that wait for somebody else: of items that the reviewer has answered or skipped."""
    own = aliased(Assignment)
    answered = select(own.item_id).where(own.reviewer_id == reviewer.id, own.done_at.is_not(None))
    skipped = select(Annotation.item_id).where(
        Annotation.reviewer_id == reviewer.id, Annotation.action == "skip", in_force()
    )
    query = (
        select(func.count())
        .select_from(Assignment)
        .join(Item, Item.id == Assignment.item_id)
        .join(Batch, Batch.id == Assignment.batch_id)
        .where(Assignment.item_id.in_(answered.union(skipped)), Assignment.slot.in_(ORDINARY_SLOTS))
        .where(Assignment.done_at.is_(None), Item.set_aside_at.is_(None), Batch.closed_at.is_(None))
    )
    return session.scalar(query) or 0


def _theirs_alone(session: Session, reviewer: Reviewer) -> int:
    """Gold cards and repeats that the reviewer holds."""
    query = (
        select(func.count())
        .select_from(Assignment)
        .join(Batch, Batch.id == Assignment.batch_id)
        .where(Assignment.reviewer_id == reviewer.id, Assignment.done_at.is_(None), Batch.closed_at.is_(None))
        .where(Assignment.slot.not_in(ORDINARY_SLOTS))
    )
    return session.scalar(query) or 0


def _answered(session: Session, reviewer: Reviewer) -> int:
    own = (Annotation.reviewer_id == reviewer.id, Annotation.action == "answer", in_force())
    return session.scalar(select(func.count()).select_from(Annotation).where(*own)) or 0


def _times(session: Session, reviewer: Reviewer) -> Sequence[int]:
    own = (Annotation.reviewer_id == reviewer.id, Annotation.action == "answer", in_force())
    return session.scalars(
        select(Annotation.milliseconds).where(*own).order_by(Annotation.id.desc()).limit(RECENT)
    ).all()
