"""A large batch for a crowd, made in bulk; and afterwards the database beside what the crowd was told."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from apps.review.access import Gate
from tasks.reviews import reviewers
from tasks.reviews.chains import live
from tasks.reviews.database import Database
from tasks.reviews.kinds import Kind
from tasks.reviews.tables import Annotation, Assignment, Batch, Generation, Item, Prompt, Shown
from tests.apps.review.crowd import Reader, Stored
from tests.apps.review.filled import ANSWERS, NOW, STORIES, Served

KINDS: tuple[Kind, ...] = ("choice", "choice", "ranking", "choice", "choice", "rating", "choice", "correction")
BATCH = "crowd"

Row = dict[str, Any]


def stock(database: Database, items: int, *, gold: int = 0, double_each: int | None = None) -> None:
    """One batch of `items` of all kinds, every so manieth for two people, and gold choices beside them."""
    kinds = [*itertools.islice(itertools.cycle(KINDS), items), *itertools.repeat("choice", gold)]
    answers = [(at, place) for at, kind in enumerate(kinds) for place in range(ANSWERS[kind])]
    slots = [(at, "1") for at in range(items)] + [(at, "2") for at in range(0, items, double_each or items)]
    slots = slots if double_each else slots[:items]
    with database.session() as session:
        session.add(Batch(id=BATCH, source="labelled", settings={}, quota=len(slots), published_at=NOW))
        session.flush()
        _insert(session, Prompt, [_prompt(at) for at in range(len(kinds))])
        _insert(session, Generation, [_generation(at, place) for at, place in answers])
        _insert(session, Item, [_item(at, kind, is_gold=at >= items) for at, kind in enumerate(kinds)])
        _insert(session, Shown, [_shown(at, place) for at, place in answers])
        _insert(session, Assignment, [{"item_id": _name(at), "batch_id": BATCH, "slot": slot} for at, slot in slots])
        session.execute(text("ANALYZE"))  # PostgreSQL's own comes a minute later; until then a card takes 0.3 s


def _insert(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    session.execute(insert(table), rows)


def _name(at: int, place: int | None = None) -> str:
    return f"{BATCH}/{at}" if place is None else f"{BATCH}/{at}-{place}"


def _prompt(at: int) -> Row:
    words = f"Write a short story with the words owl, noon, moon. It is the {at}th."
    return {"id": _name(at), "kind": "story", "text": words, "cluster": _name(at), "split": "train", "added_at": NOW}


def _generation(at: int, place: int) -> Row:
    """Its text ends with its id, between marks, so that a simulated reader knows what it reads."""
    name = _name(at, place)
    story = f"{STORIES[place]} @{name}@"
    return {"id": name, "prompt_id": _name(at), "judged_item": name, "text": story, "model": "base", "decoding": {}}


def _item(at: int, kind: str, *, is_gold: bool) -> Row:
    gold = {"winner": _name(at, 0)} if is_gold else None
    return {"id": _name(at), "batch_id": BATCH, "position": at, "kind": kind, "prompt_id": _name(at), "gold": gold,
            "judge": {}}  # fmt: skip


def _shown(at: int, place: int) -> Row:
    return {"item_id": _name(at), "place": place, "generation_id": _name(at, place)}


def readers(database: Database, served: Served, count: int, *, resend_share: float = 0.0) -> list[Reader]:
    """New reviewers with an invite each."""
    gate = Gate(served.settings)
    with database.session() as session:
        added = [reviewers.add(session, f"Reader {number}", "reviewer", NOW) for number in range(count)]
        links = [gate.invite_link(reviewer) for reviewer in added]
    return [
        Reader(reviewer.name, link, seed=number, resend_share=resend_share)
        for number, (reviewer, link) in enumerate(zip(added, links, strict=True))
    ]


def assert_kept(database: Database, people: Sequence[Reader]) -> int:
    """The database has all that the page said it has, once, and nothing else. Returns the number of its rows."""
    said = {nonce: stored for reader in people for nonce, stored in reader.stored.items()}
    with database.reading() as session:
        rows = session.query(Annotation).all()
        found = {row.nonce: _stored(row) for row in rows}
        in_force = live(session)
        done = session.query(Assignment.id).filter(Assignment.done_at.is_not(None)).all()
    lost = [stored for nonce, stored in said.items() if nonce not in found]
    assert not lost, f"{len(lost)} acknowledged and not there: {lost[:3]}"
    assert found == said  # nor anything that nobody said, or said otherwise
    assert len(rows) == len(said)
    answered = [row.assignment_id for row in in_force]
    assert len(answered) == len(set(answered)), "an assignment has two answers in force"
    assert set(answered) <= {number for (number,) in done}
    by_person = Counter((row.item_id, row.reviewer_id, row.assignment.is_again) for row in in_force)
    assert max(by_person.values(), default=0) <= 1, "an item was answered twice by one person"
    return len(rows)


def _stored(row: Annotation) -> Stored:
    if row.action == "undo":
        return Stored(reader=row.reviewer.name, action="undo")
    return Stored(
        reader=row.reviewer.name, action=row.action, assignment=row.assignment_id, decision=dict(row.decision)
    )
