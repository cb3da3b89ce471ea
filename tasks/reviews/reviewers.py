"""Reviewers: added and revoked by the owner, known outside this database by a pseudonym only."""

import secrets
import unicodedata
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tasks.reviews.kinds import Role
from tasks.reviews.tables import Reviewer
from tasks.stage import UserError

LONGEST_NAME = 80
PERSON, SIMULATED = "reader", "simulated"  # how a pseudonym begins: what a script said is never taken for a person's
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is read as another
_LOCKED = (
    select(Reviewer)
    .where(Reviewer.id == bindparam("person"))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


def add(session: Session, name: str, role: Role, now: datetime, *, is_simulated: bool = False) -> Reviewer:
    """A new reviewer under a pseudonym that says nothing of the name, but whether it is a person.

    Raises UserError where the name is taken.
    """
    name = cleaned(name)
    taken = UserError(f"there is a reviewer '{name}' already; names are unique")
    if session.scalar(select(Reviewer).where(Reviewer.name == name)):
        raise taken
    reviewer = Reviewer(
        name=name, pseudonym=_pseudonym(session, SIMULATED if is_simulated else PERSON), role=role, added_at=now
    )
    session.add(reviewer)
    try:
        session.flush()
    except IntegrityError:  # added by somebody else since
        raise taken from None
    return reviewer


def by_name(session: Session, name: str) -> Reviewer:
    """The reviewer of a name. Raises UserError where there is none."""
    name = cleaned(name)
    reviewer = session.scalar(select(Reviewer).where(Reviewer.name == name))
    if reviewer is None:
        raise UserError(f"there is no reviewer '{name}'")
    return reviewer


def revoke(session: Session, name: str) -> Reviewer:
    """Ends every invite and session of a reviewer; what they said stays. Raises UserError where there is none."""
    reviewer = by_name(session, name)
    reviewer.session_version += 1
    reviewer.is_active = False
    return reviewer


def admit(session: Session, name: str) -> Reviewer:
    """Lets a revoked reviewer in again, by a new invite. Raises UserError where there is none."""
    reviewer = by_name(session, name)
    reviewer.is_active = True
    return reviewer


def locked(session: Session, reviewer: Reviewer) -> Reviewer:
    """The reviewer's row, held until the transaction ends, so that what one person sends is done in turn.

    Raises UserError where they were revoked.
    """
    found = session.scalar(_LOCKED, {"person": reviewer.id})
    if found is None or not found.is_active:
        raise UserError("this invitation was ended; ask the project's owner for a new one")
    return found


def cleaned(name: str) -> str:
    """A name without outer spaces, in Unicode's NFC. Raises UserError where it is empty, too long or holds controls."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise UserError(f"a reviewer's name has 1 to {LONGEST_NAME} characters; got {len(name)}")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise UserError("a reviewer's name holds no control characters and no line ends")
    return name


def _pseudonym(session: Session, kind: str) -> str:
    while True:
        drawn = f"{kind}-" + "".join(secrets.choice(LETTERS) for _ in range(6))
        if not session.scalar(select(Reviewer.id).where(Reviewer.pseudonym == drawn)):
            return drawn
