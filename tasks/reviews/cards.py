"""What a reviewer is shown: the texts in their own order, and nothing that tells where they come from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, joinedload

from tasks.judging.rubric import Part, Rubric
from tasks.reviews.kinds import Kind
from tasks.reviews.tables import Assignment, Item, Shown

_item = joinedload(Assignment.item)
_WITH_TEXTS = (
    select(Assignment)
    .where(Assignment.id.in_(bindparam("assignments", expanding=True)))
    .options(_item.joinedload(Item.prompt), _item.joinedload(Item.shown).joinedload(Shown.generation))
    .execution_options(populate_existing=True)  # leases are changed behind the session's back
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A text and the id under which a decision names it."""

    generation: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """An assignment as the page shows it. answers: in the order shown; axes: of the rubric's part for the prompt."""

    assignment: int
    item: str
    kind: Kind
    task: str
    prompt: str
    document: str
    answers: tuple[Answer, ...]
    axes: tuple[str, ...]


def cards(session: Session, assignments: Sequence[int], *, rubric: Rubric) -> list[Card]:
    """The cards of leased assignments (their ids), in the order given."""
    found = {found.id: found for found in _with_texts(session, assignments)}
    return [card(found[number], rubric=rubric) for number in assignments]


def one(session: Session, assignment: int) -> Assignment | None:
    """An assignment (its id) as the database has it now, all that a card shows of it loaded."""
    return next(iter(_with_texts(session, [assignment])), None)


def _with_texts(session: Session, assignments: Sequence[int]) -> Sequence[Assignment]:
    return session.scalars(_WITH_TEXTS, {"assignments": assignments}).unique().all()


def card(assignment: Assignment, *, rubric: Rubric) -> Card:
    """The card of one leased assignment."""
    item = assignment.item
    return Card(
        assignment=assignment.id,
        item=item.id,
        kind=cast(Kind, item.kind),
        task=item.prompt.kind,
        prompt=item.prompt.text,
        document=item.prompt.document,
        answers=sides(item, assignment.reviewer_id or 0, assignment.is_again),
        axes=tuple(rubric.axes(part_of(item))),
    )


def part_of(item: Item) -> Part:
    """The part of the rubric that an item's answers are rated by."""
    return "story" if item.prompt.kind == "story" else "task"


def sides(item: Item, reviewer_id: int, is_again: bool) -> tuple[Answer, ...]:
    """An item's answers in a reviewer's own order: always the same one, reversed where it is shown again."""
    answers = [Answer(generation=shown.generation_id, text=shown.generation.text) for shown in item.shown]
    answers.sort(key=lambda answer: draw(item.id, reviewer_id, answer.generation), reverse=is_again)
    return tuple(answers)


def draw(*of: object) -> float:
    """A number from 0 to below 1 by a hash: the same for the same things, for any two others independent."""
    digest = hashlib.blake2b("\x1f".join(map(str, of)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
