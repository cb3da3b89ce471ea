"""Annotations in force: those that no later row supersedes."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session, aliased, joinedload

from tasks.reviews.tables import Annotation, Item


def live(session: Session, *, batch: str | None = None, reviewer: int | None = None) -> list[Annotation]:
    """The answers in force by id, of a batch or of a reviewer (their ids) where one is given.

    Item, assignment and reviewer of each are loaded with it.
    """
    query = select(Annotation).where(Annotation.action == "answer", in_force()).order_by(Annotation.id)
    if batch is not None:
        query = query.join(Annotation.item).where(Item.batch_id == batch)
    if reviewer is not None:
        query = query.where(Annotation.reviewer_id == reviewer)
    loaded = (joinedload(Annotation.item), joinedload(Annotation.assignment), joinedload(Annotation.reviewer))
    return list(session.scalars(query.options(*loaded)))


def history(session: Session, item: str) -> Sequence[Annotation]:
    """Everything that was ever done with an item, the first first."""
    query = select(Annotation).where(Annotation.item_id == item).order_by(Annotation.id)
    return session.scalars(query.options(joinedload(Annotation.reviewer), joinedload(Annotation.assignment))).all()


def in_force() -> ColumnElement[bool]:
    """The condition, for a query of Annotation, that no row supersedes it."""
    later = aliased(Annotation)
    return ~exists().where(later.supersedes == Annotation.id)
