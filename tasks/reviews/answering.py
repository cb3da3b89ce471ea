"""What a reviewer does with a card: answer, skip, take back. Each is one row more, and a resend is none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import BindParameter, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from tasks.judging.rubric import Rubric
from tasks.reviews import reviewers
from tasks.reviews.cards import Card, card, one, part_of, sides
from tasks.reviews.chains import in_force
from tasks.reviews.decisions import SKIP_REASONS, decision_of
from tasks.reviews.kinds import Action, Values
from tasks.reviews.leasing import before_others
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import Annotation, Assignment, Batch, Exported, Item, Reviewer
from tasks.stage import UserError

NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
PAGE_VERSION = re.compile(r"[A-Za-z0-9._+-]{0,40}")
NONCE_USED = "nonce: used for something else before; draw a new one for each thing sent"
LONGEST_MS = 24 * 3600 * 1000  # a page left open overnight says no more than this
MOST = 2**31 - 1  # PostgreSQL's integer

_PERSON: BindParameter[int] = bindparam("person")
_BY_NONCE = select(Annotation).where(Annotation.nonce == bindparam("nonce"))
_BATCH_HELD = select(Batch.id).where(Batch.id == bindparam("batch")).with_for_update(read=True)
_END_OF_CHAIN = select(func.max(Annotation.id)).where(
    Annotation.assignment_id == bindparam("assignment"), Annotation.reviewer_id == _PERSON
)
_RECENT = (
    select(Annotation.id)
    .where(Annotation.reviewer_id == _PERSON, Annotation.action != "undo")
    .order_by(Annotation.id.desc())
    .limit(bindparam("most"))
    .subquery()
)
_IN_FORCE = (Annotation.id.in_(select(_RECENT.c.id)), in_force())
_LAST = select(Annotation).where(*_IN_FORCE).order_by(Annotation.id.desc()).limit(1)
_UNDOABLE = (
    select(Annotation.id, Batch.closed_at, Exported.export_id)
    .join(Annotation.assignment)
    .join(Batch, Batch.id == Assignment.batch_id)
    .outerjoin(Exported, Exported.annotation_id == Annotation.id)
    .where(*_IN_FORCE)
    .order_by(Annotation.id.desc())
)
_CHANGE = (
    update(Assignment)
    .where(Assignment.id == bindparam("number"))
    .returning(Assignment)
    .execution_options(synchronize_session=False, populate_existing=True)
)
_THEIRS = (Assignment.reviewer_id == _PERSON) & Assignment.done_at.is_(None)
_NOBODYS = Assignment.done_at.is_(None) & or_(
    Assignment.reviewer_id.is_(None), Assignment.lease_until < bindparam("now")
)
_FINISH = _CHANGE.where(_THEIRS).values(done_at=bindparam("now"))
_FREE = _CHANGE.where(_THEIRS).values(reviewer_id=None, lease_until=None)
_LEASE = _CHANGE.values(reviewer_id=_PERSON, lease_until=bindparam("until"), done_at=None)
_LEASE_AGAIN = _LEASE.where(Assignment.reviewer_id == _PERSON)
_LEASE_SKIPPED = _LEASE.where(_NOBODYS)


class AlreadyAnswered(UserError):
    """The card was answered or skipped by this reviewer before, under another nonce."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What the page sends. nonce: drawn by the page once for each thing it sends, the same when it sends it again."""

    assignment: int
    nonce: str
    said: Mapping[str, Any]
    milliseconds: int
    page_version: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The row that a submission is kept in. is_new: False where an earlier sending had made it."""

    annotation: int
    is_new: bool


def answer(session: Session, reviewer: Reviewer, submission: Submission, *, rubric: Rubric, now: datetime) -> Receipt:
    """Keeps an answer; once the transaction is over it is on the disk.

    Raises AlreadyAnswered where this card has another answer of theirs, and UserError where the card is not theirs
    or what was said is none of its answers.
    """
    reviewer, earlier = _begin(session, reviewer, submission, "answer")
    if earlier:
        return earlier
    assignment = _own_assignment(session, reviewer, submission.assignment)
    shown = _sides(assignment, reviewer)
    item = assignment.item
    axes = tuple(rubric.axes(part_of(item)))
    decision = decision_of(item.kind, submission.said, sides=shown, axes=axes)  # type: ignore[arg-type]
    _change(session, _FINISH, assignment, reviewer, now=now)
    return _append(session, assignment, reviewer, submission, action="answer", decision=decision, now=now)


def skip(
    session: Session, reviewer: Reviewer, submission: Submission, *, params: ReviewParams, now: datetime
) -> Receipt:
    """Keeps that a reviewer can't or won't decide, and frees the card for others. said: {"reason": a SKIP_REASON}.

    An item that params.most_skips people skipped is set aside. Raises as `answer` does.
    """
    reviewer, earlier = _begin(session, reviewer, submission, "skip")
    if earlier:
        return earlier
    reason = submission.said.get("reason")
    if reason not in SKIP_REASONS:
        raise UserError(f"reason is {reason!r}; allowed: {', '.join(SKIP_REASONS)}")
    assignment = _own_assignment(session, reviewer, submission.assignment)
    _change(session, _FREE if assignment.purpose == "ordinary" else _FINISH, assignment, reviewer, now=now)
    receipt = _append(session, assignment, reviewer, submission, action="skip", decision={"reason": reason}, now=now)
    _set_aside(session, assignment.item_id, params=params, now=now)
    return receipt


def undo(
    session: Session, reviewer: Reviewer, *, nonce: str, params: ReviewParams, rubric: Rubric, now: datetime
) -> Card | None:
    """Takes back the reviewer's last answer or skip and gives its card again; None where there is none to take back.

    Raises UserError where it is in a collected batch by now, or where somebody else has the skipped card.
    """
    _checked_nonce(nonce)
    reviewer = reviewers.locked(session, reviewer)
    sent = _sent(session, reviewer, nonce, "undo")
    if sent:
        given = one(session, sent.assignment_id)
        is_still_theirs = given is not None and given.reviewer_id == reviewer.id and given.done_at is None
        return card(given, rubric=rubric) if given and is_still_theirs else None
    last = session.scalar(_LAST, {"person": reviewer.id, "most": params.undo_last})
    if last is None:
        return None
    _hold_batch(session, last.assignment)
    if last.id not in undoable(session, reviewer.id, undo_last=params.undo_last):
        raise UserError("the last answer is in a collected batch; it can't be taken back any more")
    return _take_back(session, last, reviewer, nonce=nonce, params=params, rubric=rubric, now=now)


def undoable(session: Session, reviewer_id: int, *, undo_last: int) -> list[int]:
    """The ids of what can be taken back of the reviewer's last `undo_last` answers and skips, the newest first."""
    found = session.execute(_UNDOABLE, {"person": reviewer_id, "most": undo_last}).all()
    return [row.id for row in takewhile(lambda row: row.closed_at is None and row.export_id is None, found)]


def _begin(
    session: Session, reviewer: Reviewer, submission: Submission, action: Action
) -> tuple[Reviewer, Receipt | None]:
    """Checks what was sent and holds the reviewer's row. The receipt: of an earlier sending of the same."""
    _checked_nonce(submission.nonce)
    milliseconds = submission.milliseconds
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or milliseconds < 0:
        raise UserError(f"milliseconds is {milliseconds!r}; allowed: a whole number from 0 up")
    if not PAGE_VERSION.fullmatch(submission.page_version):
        raise UserError("page_version: at most 40 letters, digits and . _ + -")
    reviewer = reviewers.locked(session, reviewer)
    sent = _sent(session, reviewer, submission.nonce, action)
    if sent and sent.assignment_id != submission.assignment:
        raise UserError(NONCE_USED)
    return reviewer, Receipt(annotation=sent.id, is_new=False) if sent else None


def _checked_nonce(nonce: str) -> None:
    if not NONCE.fullmatch(nonce):
        raise UserError("nonce: 8 to 64 letters, digits, - and _, drawn anew for each thing sent")


def _sent(session: Session, reviewer: Reviewer, nonce: str, action: Action) -> Annotation | None:
    """The row that this nonce was kept in. Raises UserError where it came from somebody or something else."""
    found = session.scalar(_BY_NONCE, {"nonce": nonce})
    if found is not None and (found.reviewer_id, found.action) != (reviewer.id, action):
        raise UserError(NONCE_USED)
    return found


def _own_assignment(session: Session, reviewer: Reviewer, number: int) -> Assignment:
    """The assignment, its batch held against collecting. Raises UserError where it is not theirs to answer."""
    is_number = isinstance(number, int) and not isinstance(number, bool) and 0 < number <= MOST
    assignment = one(session, number) if is_number else None
    if assignment is None:
        raise UserError(f"there is no card {number!r}")
    _hold_batch(session, assignment)
    if assignment.reviewer_id == reviewer.id and assignment.done_at is None:
        return assignment
    if assignment.reviewer_id == reviewer.id or _last_row(session, assignment, reviewer) is not None:
        raise AlreadyAnswered("this card has an answer of yours already; take it back to change it")
    raise UserError("this card went to somebody else in the meantime; go on with the next one")


def _hold_batch(session: Session, assignment: Assignment) -> None:
    """Keeps a collection of the batch waiting until this transaction ends (SQLite has one writer anyway)."""
    session.execute(_BATCH_HELD, {"batch": assignment.batch_id})


def _last_row(session: Session, assignment: Assignment, reviewer: Reviewer) -> int | None:
    """The end of the chain of a reviewer's rows on an assignment."""
    return session.scalar(_END_OF_CHAIN, {"assignment": assignment.id, "person": reviewer.id})


def _change(
    session: Session, statement: ReturningUpdate[tuple[Assignment]], assignment: Assignment, reviewer: Reviewer,
    **values: datetime,
) -> None:  # fmt: skip
    """A conditional UPDATE of one assignment. Raises UserError where its condition no longer holds."""
    if session.scalar(statement, {"number": assignment.id, "person": reviewer.id, **values}) is None:
        raise UserError("this card went to somebody else in the meantime; go on with the next one")


def _append(
    session: Session,
    assignment: Assignment,
    reviewer: Reviewer,
    submission: Submission,
    *,
    action: Action,
    decision: Values,
    now: datetime,
) -> Receipt:
    """The new end of the chain."""
    row = Annotation(
        assignment_id=assignment.id,
        item_id=assignment.item_id,
        reviewer_id=reviewer.id,
        action=action,
        decision=decision,
        sides=_sides(assignment, reviewer),
        milliseconds=min(submission.milliseconds, LONGEST_MS),
        page_version=submission.page_version,
        nonce=submission.nonce,
        supersedes=_last_row(session, assignment, reviewer),
        at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # two people's pages drew one nonce in one moment
        raise UserError(NONCE_USED) from error
    return Receipt(annotation=row.id, is_new=True)


def _sides(assignment: Assignment, reviewer: Reviewer) -> list[str]:
    return [shown.generation for shown in sides(assignment.item, reviewer.id, assignment.is_again)]


def _set_aside(session: Session, item_id: str, *, params: ReviewParams, now: datetime) -> None:
    """Sets an item aside where enough people skipped it, and takes it in again where one took that back."""
    item = session.scalars(select(Item).where(Item.id == item_id).with_for_update(key_share=True)).one()
    session.refresh(item, ["set_aside_at"])
    skipped = (Annotation.item_id == item_id, Annotation.action == "skip", in_force())
    people = session.scalar(select(func.count(Annotation.reviewer_id.distinct())).where(*skipped)) or 0
    item.set_aside_at = (item.set_aside_at or now) if people >= params.most_skips else None


def _take_back(
    session: Session,
    last: Annotation,
    reviewer: Reviewer,
    *,
    nonce: str,
    params: ReviewParams,
    rubric: Rubric,
    now: datetime,
) -> Card:
    """Makes the card of an annotation the first that the reviewer holds, and adds the row that supersedes it."""
    assignment = last.assignment
    was_freed = last.action == "skip" and assignment.purpose == "ordinary"
    until = before_others(session, reviewer, params=params, now=now)
    _change(session, _LEASE_SKIPPED if was_freed else _LEASE_AGAIN, assignment, reviewer, until=until, now=now)
    taken_back = Submission(assignment=assignment.id, nonce=nonce, said={}, milliseconds=0, page_version="")
    _append(session, assignment, reviewer, taken_back, action="undo", decision={}, now=now)
    if last.action == "skip":
        _set_aside(session, assignment.item_id, params=params, now=now)
    return card(assignment, rubric=rubric)
