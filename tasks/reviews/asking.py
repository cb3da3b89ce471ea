"""A reviewer's own question and the replies of two models to it: a choice like any other, theirs to make first."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.judging.rubric import Rubric
from tasks.reviews import reviewers, served
from tasks.reviews.cards import Card, card, one
from tasks.reviews.leasing import before_others
from tasks.reviews.params import ReviewParams
from tasks.reviews.prompts import kept, one_at_a_time
from tasks.reviews.tables import Assignment, Generation, Reviewer, Shown
from tasks.serving.reply import Reply
from tasks.stage import UserError

MOST_CHARACTERS = 2_000
NONCE = "asked"  # in a generation's decoding: the nonce that its question came with


def question_of(said: str) -> str:
    """The question as it is asked and kept. Raises UserError where there is none, or it is too long."""
    question = kept(said.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not question:
        raise UserError("the question is empty")
    if len(question) > MOST_CHARACTERS:
        raise UserError(f"the question has {len(question):,} characters; at most {MOST_CHARACTERS:,} are asked")
    return question


def is_answered(session: Session, question: str, *, nonce: str) -> bool:
    """Whether the replies to a question that came with this nonce are kept already."""
    return _assignment(session, question, nonce) is not None


def keep(
    session: Session, reviewer: Reviewer, replies: Sequence[Reply], *, question: str, nonce: str, rubric: Rubric,
    params: ReviewParams, now: datetime,
) -> Card | None:  # fmt: skip
    """Makes a choice of the replies, unless an earlier sending of the same did, and hands it to who asked.

    replies: two, with the nonce in their settings; none where `is_answered`. None: the card is theirs no more.
    Call `served.prepare` before the transaction.
    """
    reviewer = reviewers.locked(session, reviewer)
    one_at_a_time(session)
    number = _assignment(session, question, nonce)
    if number is None:
        item = served.add_item(session, replies, "choice", said={}, params=params, now=now)
        made = session.scalars(select(Assignment).where(Assignment.item_id == item)).one()
        made.reviewer_id, made.lease_until = reviewer.id, before_others(session, reviewer, params=params, now=now)
        session.flush()
        number = made.id
    found = one(session, number)
    is_theirs = found is not None and found.reviewer_id == reviewer.id and found.done_at is None
    return card(found, rubric=rubric) if found and is_theirs else None


def _assignment(session: Session, question: str, nonce: str) -> int | None:
    """The assignment of the item that shows what was said to this question under this nonce."""
    query = (
        select(Assignment.id)
        .join(Shown, Shown.item_id == Assignment.item_id)
        .join(Generation, Generation.id == Shown.generation_id)
        .where(Generation.prompt_id == served.prompt_id(question), Generation.decoding[NONCE].as_string() == nonce)
        .order_by(Assignment.id)
    )
    return session.scalars(query.limit(1)).first()
