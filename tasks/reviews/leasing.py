"""Who is given what: leases of assignments, gold items and repeats among the ordinary ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from tasks.judging.rubric import Rubric
from tasks.reviews import reviewers
from tasks.reviews.cards import Card, cards, draw
from tasks.reviews.chains import in_force
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Item, Reviewer

TICK = timedelta(microseconds=1)  # leases of one moment differ by it: their order is the order of the cards
AGAIN_WINDOW = 100  # answers looked back on for one to show again; older ones no longer are


def next_cards(
    session: Session, reviewer: Reviewer, *, count: int, params: ReviewParams, rubric: Rubric, now: datetime
) -> list[Card]:
    """Up to `count` cards, leased to the reviewer: first those they hold already, in the same order each time.

    Fewer where nothing is left for them. Raises UserError where they were revoked.
    """
    reviewer = reviewers.locked(session, reviewer)
    deal = _Deal(session=session, reviewer=reviewer, params=params, now=now)
    held = deal.held()
    until = max([now + timedelta(seconds=params.lease_s), *(last + TICK for _, last in held[-1:])])
    numbers = [number for number, _ in held[:count]]
    numbers += deal.new(count - len(numbers), until=until)
    return cards(session, numbers, rubric=rubric)


def open_batches(session: Session) -> list[Batch]:
    """Those of which something is handed out, the first published first."""
    return list(session.scalars(select(Batch).where(Batch.closed_at.is_(None)).order_by(Batch.published_at, Batch.id)))


def is_skipped_by(reviewer_id: int) -> ColumnElement[bool]:
    """The condition, for a query of Assignment, that a person left its item out and has not taken that back."""
    return exists().where(
        Annotation.item_id == Assignment.item_id,
        Annotation.reviewer_id == reviewer_id,
        Annotation.action == "skip",
        in_force(),
    )


@dataclass(frozen=True, kw_only=True)
class _Deal:
    """One dealing of cards to a reviewer whose row is locked."""

    session: Session
    reviewer: Reviewer
    params: ReviewParams
    now: datetime

    def held(self) -> list[tuple[int, datetime]]:
        """What they hold and until when, in order; leases of which half has passed are made anew."""
        found = self._holdings()
        if all(until >= self.now + timedelta(seconds=self.params.lease_s / 2) for _, until in found):
            return found
        start = self.now + timedelta(seconds=self.params.lease_s)
        anew = [(number, start + place * TICK) for place, (number, _) in enumerate(found)]
        return [(number, until) for number, until in anew if self._lease(number, until)]

    def _holdings(self) -> list[tuple[int, datetime]]:
        query = (
            select(Assignment.id, Assignment.lease_until)
            .join(Batch, Batch.id == Assignment.batch_id)
            .where(Assignment.reviewer_id == self.reviewer.id, Assignment.done_at.is_(None))
            .where(Assignment.lease_until.is_not(None), Batch.closed_at.is_(None))
            .order_by(Assignment.lease_until, Assignment.id)
        )
        return [(number, until) for number, until in self.session.execute(query) if until is not None]

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
        own = aliased(Assignment)
        had = exists().where(own.item_id == Assignment.item_id, own.reviewer_id == self.reviewer.id)
        query = (
            select(Assignment.item_id, Assignment.id)
            .join(Assignment.item)
            .where(Assignment.batch_id == batch, Assignment.done_at.is_(None), Assignment.slot.in_(ORDINARY_SLOTS))
            .where(self._is_free(), Item.set_aside_at.is_(None), ~had, ~is_skipped_by(self.reviewer.id))
            .order_by(Assignment.id)
            .limit(count * len(ORDINARY_SLOTS))
            .with_for_update(of=Assignment, skip_locked=True)
        )
        first_of_item: dict[str, int] = {}
        for item, number in self.session.execute(query):
            first_of_item.setdefault(item, number)
        return list(first_of_item.values())[:count]

    def _first(self, ordinary: list[int], until: datetime) -> int | None:
        while ordinary:
            number = ordinary.pop(0)
            if self._lease(number, until):
                return number
        return None

    def _lease(self, number: int, until: datetime) -> bool:
        """Takes an assignment that is free or theirs; False where somebody was quicker."""
        mine = Assignment.reviewer_id == self.reviewer.id
        taken = (
            update(Assignment)
            .where(Assignment.id == number, Assignment.done_at.is_(None), or_(mine, self._is_free()))
            .values(reviewer_id=self.reviewer.id, lease_until=until)
            .returning(Assignment.id)
        )
        return self.session.scalar(taken.execution_options(synchronize_session=False)) is not None

    def _is_free(self) -> ColumnElement[bool]:
        return or_(Assignment.reviewer_id.is_(None), Assignment.lease_until < self.now)

    def _dealt(self) -> int:
        query = select(func.count()).select_from(Assignment).where(Assignment.reviewer_id == self.reviewer.id)
        return self.session.scalar(query) or 0

    def _gold_is_due(self, place: int) -> bool:
        """One card in each stretch of 1/gold_share, at a place that nobody can foresee."""
        share = self.params.gold_share
        stretches = {int(place * share), int((place + 1) * share)} if share else set()
        return any(int((n + draw("gold", self.reviewer.id, n)) / share) == place for n in stretches)

    def _gold(self, batches: Sequence[Batch], until: datetime) -> int | None:
        """A gold item that they have not had; each person begins at another one."""
        start = int(draw("first gold", self.reviewer.id) * max(batch.quota for batch in batches))
        had = exists().where(Assignment.item_id == Item.id, Assignment.reviewer_id == self.reviewer.id)
        query = (
            select(Item.id)
            .where(Item.batch_id.in_([batch.id for batch in batches]), Item.gold.is_not(None))
            .where(Item.set_aside_at.is_(None), ~had)
            .order_by(Item.position < start, Item.position)
            .limit(1)
        )
        item = self.session.scalar(query)
        return self._own(item, "gold", until) if item else None

    def _again(self, until: datetime) -> int | None:
        """A choice of theirs, long enough ago, that was drawn to be shown again."""
        for item in self._long_answered():
            if draw("again", item, self.reviewer.id) < self.params.again_share:
                return self._own(item, "again", until)
        return None

    def _long_answered(self) -> list[str]:
        """Choices that may be shown again: the earlier ones of their last answers."""
        answers = (
            select(Annotation.id, Annotation.item_id, Annotation.assignment_id)
            .where(Annotation.reviewer_id == self.reviewer.id, Annotation.action == "answer", in_force())
            .order_by(Annotation.id.desc())
            .offset(self.params.again_after)
            .limit(AGAIN_WINDOW)
            .subquery()
        )
        repeated = aliased(Assignment)
        had = exists().where(repeated.item_id == Item.id, repeated.slot == f"again:{self.reviewer.id}")
        query = (
            select(Item.id)
            .join(answers, answers.c.item_id == Item.id)
            .join(Assignment, Assignment.id == answers.c.assignment_id)
            .join(Item.batch)
            .where(Item.kind == "choice", Item.gold.is_(None), Assignment.slot.in_(ORDINARY_SLOTS), ~had)
            .where(Item.set_aside_at.is_(None), Batch.closed_at.is_(None))
            .order_by(answers.c.id)
        )
        return list(self.session.scalars(query))

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
