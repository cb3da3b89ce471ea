"""How far a reviewer and a batch are, and which batches are full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import BindParameter, Select, bindparam, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from tasks.reviews.answering import undoable
from tasks.reviews.chains import in_force
from tasks.reviews.leasing import open_batches
from tasks.reviews.tables import ORDINARY_SLOTS, SERVED, Annotation, Assignment, Batch, Item, Reviewer

RECENT = 50  # answers that the median time is of
MOST_UNDOABLE = 10

_PERSON: BindParameter[int] = bindparam("person")
_own, _first = aliased(Assignment), aliased(Assignment)
_OF_BATCH = (
    select(func.count())
    .select_from(Assignment)
    .where(Assignment.batch_id == bindparam("batch"), Assignment.slot.in_(ORDINARY_SLOTS))
)
_DONE = _OF_BATCH.where(Assignment.done_at.is_not(None))
_WAITING = _OF_BATCH.where(Assignment.done_at.is_(None))
_SET_ASIDE = select(Item.id).where(Item.batch_id == bindparam("batch"), Item.set_aside_at.is_not(None))
_WAITING_ASIDE = _WAITING.where(Assignment.item_id.in_(bindparam("items", expanding=True)))
_ANSWERS = (Annotation.reviewer_id == _PERSON, Annotation.action == "answer", in_force())
_ANSWERED = select(func.count()).select_from(Annotation).where(*_ANSWERS)
_TIMES = select(Annotation.milliseconds).where(*_ANSWERS).order_by(Annotation.id.desc()).limit(RECENT)
_SKIPPED = select(Annotation.item_id).where(
    Annotation.reviewer_id == _PERSON, Annotation.action == "skip", in_force()
)  # fmt: skip
_WAITING_TWICE = (  # items that wait for both opinions, of which a person can give one
    select(func.count())
    .select_from(Assignment)
    .where(Assignment.batch_id == bindparam("batch"), Assignment.slot == ORDINARY_SLOTS[1])
    .where(Assignment.done_at.is_(None), Assignment.item_id.not_in(bindparam("items", expanding=True)))
    .where(
        exists().where(_first.item_id == Assignment.item_id, _first.slot == ORDINARY_SLOTS[0], _first.done_at.is_(None))
    )
)
_WAITING_TOUCHED = (  # items that wait for somebody and that the reviewer holds, has answered or has skipped
    select(func.count(Assignment.item_id.distinct()))
    .join(Item, Item.id == Assignment.item_id)
    .join(Batch, Batch.id == Assignment.batch_id)
    .where(Assignment.slot.in_(ORDINARY_SLOTS), Assignment.done_at.is_(None))
    .where(Item.set_aside_at.is_(None), Batch.closed_at.is_(None))
    .where(Assignment.item_id.in_(select(_own.item_id).where(_own.reviewer_id == _PERSON).union(_SKIPPED)))
)
_HELD = (
    select(func.count())
    .select_from(Assignment)
    .join(Batch, Batch.id == Assignment.batch_id)
    .where(Assignment.reviewer_id == _PERSON, Assignment.done_at.is_(None), Batch.closed_at.is_(None))
)

_OF_PERSON = select(_ANSWERED.scalar_subquery(), _WAITING_TOUCHED.scalar_subquery(), _HELD.scalar_subquery())
_COUNTS = select(_DONE.scalar_subquery(), _WAITING.scalar_subquery())


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
    person = {"person": reviewer.id}
    done, touched, held = session.execute(_OF_PERSON, person).one()
    times = session.scalars(_TIMES, person).all()
    return Progress(
        done=done,
        left=sum(batch.waiting - batch.waiting_twice(session) for batch in batches) - touched + held,
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
    """A batch's ordinary assignments. waiting: without those of items that were set aside; grows: items are added."""

    batch: str = ""
    done: int = 0
    waiting: int = 0
    quota: int = 0
    set_aside: Sequence[str] = ()
    grows: bool = False

    @classmethod
    def of(cls, session: Session, batch: Batch) -> "_Counted":
        of = {"batch": batch.id}
        set_aside = session.scalars(_SET_ASIDE, of).all()
        withdrawn = _number(session, _WAITING_ASIDE, **of, items=set_aside) if set_aside else 0
        done, waiting = session.execute(_COUNTS, of).one()
        return cls(
            batch=batch.id,
            done=done,
            waiting=waiting - withdrawn,
            quota=batch.quota,
            set_aside=set_aside,
            grows=batch.source == SERVED,
        )

    def waiting_twice(self, session: Session) -> int:
        """How many items wait for two people."""
        return _number(session, _WAITING_TWICE, batch=self.batch, items=self.set_aside)

    @property
    def wanted(self) -> int:
        """How many answers fill it: the quota, or fewer where that many can't come any more."""
        if self.grows:
            return self.quota
        return min(self.quota, self.done + self.waiting)

    @property
    def is_full(self) -> bool:
        return 0 < self.done >= self.wanted


def _number(session: Session, statement: Select[tuple[int]], **values: object) -> int:
    return session.scalar(statement, values) or 0
