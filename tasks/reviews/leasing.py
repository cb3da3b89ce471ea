"""Who is given what: leases of assignments, gold items and repeats among the ordinary ones.

The statements are built once: building one takes longer than SQLite takes to run it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, bindparam, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from tasks.reviews import reviewers
from tasks.reviews.cards import draw
from tasks.reviews.chains import in_force
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Item, Reviewer

TICK = timedelta(microseconds=1)  # leases of one moment differ by it: their order is the order of the cards
AGAIN_WINDOW = 100  # answers looked back on for one to show again; older ones no longer are

_other, _first = aliased(Assignment), aliased(Assignment)
_PERSON: BindParameter[int] = bindparam("person")
_WAITS = Assignment.done_at.is_(None)
_IS_FREE = or_(Assignment.reviewer_id.is_(None), Assignment.lease_until < bindparam("now"))
_IS_OPEN = Batch.closed_at.is_(None)

_OPEN_BATCHES = select(Batch).where(_IS_OPEN).order_by(Batch.published_at, Batch.id)
_HELD = (
    select(Assignment.id, Assignment.lease_until)
    .join(Batch, Batch.id == Assignment.batch_id)
    .where(Assignment.reviewer_id == _PERSON, _WAITS, Assignment.lease_until.is_not(None), _IS_OPEN)
    .order_by(Assignment.lease_until, Assignment.id)
)
_DEALT = select(func.count()).select_from(Assignment).where(Assignment.reviewer_id == _PERSON)
_SKIPPED = exists().where(
    Annotation.item_id == Assignment.item_id,
    Annotation.reviewer_id == _PERSON,
    Annotation.action == "skip",
    in_force(),
)
_FIRST_IS_FREE = exists().where(
    _first.item_id == Assignment.item_id,
    _first.slot == ORDINARY_SLOTS[0],
    _first.done_at.is_(None),
    or_(_first.reviewer_id.is_(None), _first.lease_until < bindparam("now")),
)
_FREE_SLOTS = (
    select(Assignment.id)
    .join(Assignment.item)
    .where(Assignment.batch_id == bindparam("batch"), _WAITS, Assignment.slot.in_(ORDINARY_SLOTS), _IS_FREE)
    .where(Item.set_aside_at.is_(None), ~_SKIPPED)
    .where(or_(Assignment.slot == ORDINARY_SLOTS[0], ~_FIRST_IS_FREE))  # so that nobody is given both
    .where(~exists().where(_other.item_id == Assignment.item_id, _other.reviewer_id == _PERSON))
    .order_by(Assignment.id)
    .limit(bindparam("most"))
    .with_for_update(of=Assignment, skip_locked=True)
)
_LEASE = (
    update(Assignment)
    .where(Assignment.id == bindparam("number"), _WAITS, or_(Assignment.reviewer_id == _PERSON, _IS_FREE))
    .values(reviewer_id=_PERSON, lease_until=bindparam("until"))
    .returning(Assignment.id)
    .execution_options(synchronize_session=False)
)
_GOLD = (
    select(Item.id)
    .where(Item.batch_id.in_(bindparam("batches", expanding=True)), Item.gold.is_not(None))
    .where(Item.set_aside_at.is_(None))
    .where(~exists().where(_other.item_id == Item.id, _other.reviewer_id == _PERSON))
    .order_by(Item.position < bindparam("start"), Item.position)
    .limit(1)
)
_ANSWERS = (
    select(Annotation.id, Annotation.assignment_id)
    .where(Annotation.reviewer_id == _PERSON, Annotation.action == "answer", in_force())
    .order_by(Annotation.id.desc())
    .offset(bindparam("later"))
    .limit(AGAIN_WINDOW)
    .subquery()
)
_LONG_ANSWERED = (
    select(Assignment.item_id)
    .join(_ANSWERS, _ANSWERS.c.assignment_id == Assignment.id)
    .join(Assignment.item)
    .join(Batch, Batch.id == Assignment.batch_id)
    .where(Item.kind == "choice", Item.gold.is_(None), Item.set_aside_at.is_(None), _IS_OPEN)
    .where(Assignment.slot.in_(ORDINARY_SLOTS))
    .where(~exists().where(_other.item_id == Assignment.item_id, _other.reviewer_id == _PERSON, _other.is_again))
    .order_by(_ANSWERS.c.id)
)


def deal(session: Session, reviewer: Reviewer, *, count: int, params: ReviewParams, now: datetime) -> list[int]:
    """Up to `count` assignments (their ids), leased to the reviewer: first those they hold already, in the same order
    each time.

    Fewer where nothing is left for them. Raises UserError where they were revoked.
    """
    reviewer = reviewers.locked(session, reviewer)
    dealing = _Deal(session=session, reviewer=reviewer, params=params, now=now)
    held = dealing.held()
    until = max([now + timedelta(seconds=params.lease_s), *(last + TICK for _, last in held[-1:])])
    numbers = [number for number, _ in held[:count]]
    return [*numbers, *dealing.new(count - len(numbers), until=until)]


def before_others(session: Session, reviewer: Reviewer, *, params: ReviewParams, now: datetime) -> datetime:
    """A lease's end that puts it before the reviewer's others (their order is that of the ends)."""
    held = (Assignment.reviewer_id == reviewer.id, _WAITS, Assignment.lease_until >= now)
    first = session.scalar(select(func.min(Assignment.lease_until)).where(*held))
    return first - TICK if first else now + timedelta(seconds=params.lease_s)


def open_batches(session: Session) -> Sequence[Batch]:
    """Those of which something is handed out, the first published first."""
    return session.scalars(_OPEN_BATCHES).all()


@dataclass(frozen=True, kw_only=True)
class _Deal:
    """One dealing of cards to a reviewer whose row is locked."""

    session: Session
    reviewer: Reviewer
    params: ReviewParams
    now: datetime

    def held(self) -> list[tuple[int, datetime]]:
        """What they hold and until when, in order; leases of which half has passed are made anew."""
        found = [(number, until) for number, until in self.session.execute(_HELD, {"person": self.reviewer.id})]
        if all(until >= self.now + timedelta(seconds=self.params.lease_s / 2) for _, until in found):
            return found
        start = self.now + timedelta(seconds=self.params.lease_s)
        anew = [(number, start + place * TICK) for place, (number, _) in enumerate(found)]
        return [(number, until) for number, until in anew if self._lease(number, until)]

    def new(self, count: int, *, until: datetime) -> Iterator[int]:
        """Leases up to `count` more, gold and repeats where they are due."""
        if count <= 0:
            return
        batches = open_batches(self.session)
        ordinary = self._ordinary(batches, count)
        dealt = self._dealt()
        for place in range(dealt, dealt + count):
            number = self._gold(batches, until) if ordinary and self._gold_is_due(place) else None
            number = number or self._again(until) or self._first(ordinary, until)
            if number is None:
                return
            yield number
            until += TICK

    def _ordinary(self, batches: Sequence[Batch], count: int) -> list[int]:
        """Free slots of different items, the first published first."""
        found: list[int] = []
        for batch in batches:
            if len(found) < count:
                found += self._free(batch.id, count - len(found))
        return found

    def _free(self, batch: str, count: int) -> list[int]:
        """Of one batch; on PostgreSQL none that somebody else is just being given: those are locked."""
        values = {"batch": batch, "person": self.reviewer.id, "now": self.now, "most": count}
        return list(self.session.scalars(_FREE_SLOTS, values))

    def _first(self, ordinary: list[int], until: datetime) -> int | None:
        while ordinary:
            number = ordinary.pop(0)
            if self._lease(number, until):
                return number
        return None

    def _lease(self, number: int, until: datetime) -> bool:
        """Takes an assignment that is free or theirs; False where somebody was quicker."""
        values = {"number": number, "person": self.reviewer.id, "until": until, "now": self.now}
        return self.session.scalar(_LEASE, values) is not None

    def _dealt(self) -> int:
        return self.session.scalar(_DEALT, {"person": self.reviewer.id}) or 0

    def _gold_is_due(self, place: int) -> bool:
        """One card in each stretch of 1/gold_share, at a place that nobody can foresee."""
        share = self.params.gold_share
        stretches = {int(place * share), int((place + 1) * share)} if share else set()
        return any(int((n + draw("gold", self.reviewer.id, n)) / share) == place for n in stretches)

    def _gold(self, batches: Sequence[Batch], until: datetime) -> int | None:
        """A gold item that they have not had; each person begins at another one."""
        start = int(draw("first gold", self.reviewer.id) * max(batch.quota for batch in batches))
        values = {"batches": [batch.id for batch in batches], "person": self.reviewer.id, "start": start}
        item = self.session.scalar(_GOLD, values)
        return self._own(item, "gold", until) if item else None

    def _again(self, until: datetime) -> int | None:
        """A choice of theirs, long enough ago, that was drawn to be shown again."""
        if not self.params.again_share:
            return None
        values = {"person": self.reviewer.id, "later": self.params.again_after}
        for item in self.session.scalars(_LONG_ANSWERED, values).all():
            if draw("again", item, self.reviewer.id) < self.params.again_share:
                return self._own(item, "again", until)
        return None

    def _own(self, item: str, purpose: str, until: datetime) -> int:
        """A new assignment of an item for this reviewer alone."""
        assignment = Assignment(
            item_id=item,
            slot=f"{purpose}:{self.reviewer.id}",
            is_again=purpose == "again",
            reviewer_id=self.reviewer.id,
            lease_until=until,
        )
        self.session.add(assignment)
        self.session.flush()
        return assignment.id
