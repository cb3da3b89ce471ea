"""Batches as Label Studio's JSON and back, for teams that review there: a project, and a file of tasks, for each kind.

A choice is its Pairwise (with Choices for a tie and for two bad ones), a ranking its Ranker with a bucket a place, a
rating a Rating an axis, a correction its TextArea. Gold items stay here, where nobody sees that they are.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from tasks.judging.records import short_hash
from tasks.judging.rubric import Part, Rubric
from tasks.reviews import chains, reviewers
from tasks.reviews.cards import draw, part_of
from tasks.reviews.database import Database
from tasks.reviews.decisions import decision_of
from tasks.reviews.kinds import Kind, Values
from tasks.reviews.label_studio_forms import FORMS
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Item, Reviewer
from tasks.stage import UserError

VERSION = "label-studio"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of a file's annotations. refused: how many were not kept, by the reason."""

    kept: int
    refused: Mapping[str, int]

    @property
    def line(self) -> str:
        """What was done, in one line."""
        refused = ", ".join(f"{count} {why}" for why, count in sorted(self.refused.items()))
        return f"{self.kept} answers kept" + (f"; not kept: {refused}" if refused else "")


@dataclass(frozen=True)
class Project:
    """One of Label Studio's: items with the same controls. part: of the rubric, for the axes of a rating."""

    kind: Kind
    part: Part | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.part}" if self.part else self.kind

    def holds(self, item: Item) -> bool:
        return item.kind == self.kind and self.part in (None, part_of(item))

    def config(self, rubric: Rubric) -> str:
        """Its labelling configuration (XML)."""
        view = ElementTree.Element("View")
        ElementTree.SubElement(view, "Text", name="prompt", value="$prompt")
        axes = rubric.axes(self.part).items() if self.part else ()
        FORMS[self.kind].control(view, {name: axis.asks for name, axis in axes})
        ElementTree.indent(view)
        return ElementTree.tostring(view, encoding="unicode") + "\n"


PROJECTS = (
    Project("choice"),
    Project("ranking"),
    Project("rating", "story"),
    Project("rating", "task"),
    Project("correction"),
)


def export_tasks(session: Session, batch: str, project: Project, *, answers: bool = False) -> list[Values]:
    """A batch's items of a project as Label Studio's tasks; answers: with what was said of them so far.

    Raises UserError where there is no such batch.
    """
    if session.get(Batch, batch) is None:
        raise UserError(f"there is no batch '{batch}'")
    query = select(Item).where(Item.batch_id == batch, Item.gold.is_(None)).order_by(Item.position)
    said: dict[str, list[Annotation]] = {}
    for annotation in chains.live(session, batch=batch) if answers else ():
        if annotation.assignment.purpose == "ordinary":
            said.setdefault(annotation.item_id, []).append(annotation)
    return [_task(item, said.get(item.id, ())) for item in session.scalars(query) if project.holds(item)]


def read_tasks(path: Path) -> list[Values]:
    """The tasks of an export of Label Studio (JSON). Raises UserError naming the file and the place."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, list):
        raise UserError(f"{path}: not a list of tasks, as Label Studio's export 'JSON' is")
    return found


def import_tasks(database: Database, path: Path, *, rubric: Rubric, now: datetime) -> Imported:
    """Keeps the annotations of a file as answers, all of them or none; those that are here already stay as they are.

    Each fills a free slot of its item; a person goes by their number there. Raises UserError naming the task whose
    item or annotation is not one of ours.
    """
    told = [
        _Told.read(task, annotation, where=f"{path}: task {number}, annotation {at}")
        for number, task in enumerate(read_tasks(path), start=1)
        for at, annotation in enumerate(_annotations(task, where=f"{path}: task {number}"), start=1)
    ]
    with database.session() as session:
        outcomes = Counter(_keep(session, one, rubric=rubric, now=now) for one in told)
    return Imported(kept=outcomes.pop("", 0), refused=outcomes)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """An annotation of Label Studio's, with the task that it is of."""

    where: str
    item: str
    kind: str
    sides: tuple[str, ...]
    by: str
    nonce: str
    is_cancelled: bool
    results: Sequence[Values]
    milliseconds: int

    @classmethod
    def read(cls, task: Values, annotation: Any, *, where: str) -> "_Told":
        try:
            data, by = task["data"], annotation.get("completed_by")
            person = str(by.get("id") if isinstance(by, dict) else by)
            known = annotation.get("unique_id") or annotation.get("id")
            return cls(
                where=where,
                item=str(data["item"]),
                kind=str(data["kind"]),
                sides=tuple(str(answer["id"]) for answer in data["answers"]),
                by=person,
                nonce=f"{VERSION}-{short_hash([data['item'], person, known])}",
                is_cancelled=bool(annotation.get("was_cancelled")),
                results=[dict(result) for result in annotation["result"]],
                milliseconds=round(1000 * float(annotation.get("lead_time") or 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{where}: not a task that `fledgling review export` made: {_about(error)}") from None


def _about(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _annotations(task: Any, *, where: str) -> list[Any]:
    found = task.get("annotations") if isinstance(task, dict) else None
    if not isinstance(found, list):
        raise UserError(f"{where}: holds no list 'annotations'; export as 'JSON' in Label Studio, not as 'JSON_MIN'")
    return found


def _keep(session: Session, told: _Told, *, rubric: Rubric, now: datetime) -> str:
    """Keeps an answer in a free slot of its item; why not, empty where it was kept."""
    item = session.get(Item, told.item)
    if item is None or item.kind != told.kind or sorted(told.sides) != sorted(s.generation_id for s in item.shown):
        raise UserError(f"{told.where}: '{told.item}' is no {told.kind} of these answers in this database")
    if told.is_cancelled:
        return "cancelled there"
    decision = _decision(told, tuple(rubric.axes(part_of(item))))
    if session.scalar(select(Annotation.id).where(Annotation.nonce == told.nonce)) is not None:
        return "here already"
    batch = session.scalars(select(Batch).where(Batch.id == item.batch_id).with_for_update(read=True)).one()
    if batch.closed_at is not None:
        return "of a collected batch"
    reviewer = _reviewer(session, told.by, now)
    slot = _free_slot(session, item, reviewer, now)
    if slot is None:
        return "of items that have their answers"
    slot.reviewer_id, slot.lease_until, slot.done_at = reviewer.id, None, now
    session.add(
        Annotation(
            assignment_id=slot.id,
            item_id=item.id,
            reviewer_id=reviewer.id,
            action="answer",
            decision=decision,
            sides=list(told.sides),
            milliseconds=told.milliseconds,
            page_version=VERSION,
            nonce=told.nonce,
            at=now,
        )
    )
    session.flush()
    return ""


def _reviewer(session: Session, number: str, now: datetime) -> Reviewer:
    name = f"Label Studio user {number}"
    found = session.scalar(select(Reviewer).where(Reviewer.name == name))
    return found or reviewers.add(session, name, "reviewer", now)


def _free_slot(session: Session, item: Item, reviewer: Reviewer, now: datetime) -> Assignment | None:
    own = aliased(Assignment)
    query = (
        select(Assignment)
        .where(Assignment.item_id == item.id, Assignment.slot.in_(ORDINARY_SLOTS), Assignment.done_at.is_(None))
        .where(or_(Assignment.reviewer_id.is_(None), Assignment.lease_until < now))
        .where(~exists().where(own.item_id == item.id, own.reviewer_id == reviewer.id))
        .order_by(Assignment.id)
        .limit(1)
        .with_for_update(of=Assignment, skip_locked=True)
    )
    return session.scalar(query)


def _task(item: Item, said: Sequence[Annotation]) -> Values:
    shown = sorted(item.shown, key=lambda one: draw(VERSION, item.id, one.generation_id))
    answers = [
        {"id": one.generation_id, "title": f"Answer {place}", "body": one.generation.text}
        for place, one in enumerate(shown, start=1)
    ]
    data: Values = {"item": item.id, "kind": item.kind, "task": item.prompt.kind, "prompt": item.prompt.text}
    data |= {"document": item.prompt.document, "answers": answers}
    data |= {f"answer_{place}": answer["body"] for place, answer in enumerate(answers, start=1)}
    return {"data": data, "annotations": [_annotation(one, [answer["id"] for answer in answers]) for one in said]}


def _annotation(annotation: Annotation, sides: Sequence[str]) -> Values:
    return {
        "unique_id": f"fledgling-{annotation.id}",
        "completed_by": annotation.reviewer_id,
        "lead_time": annotation.milliseconds / 1000,
        "was_cancelled": False,
        "result": list(FORMS[annotation.item.kind].results(annotation.decision, sides)),
    }


def _decision(told: _Told, axes: Sequence[str]) -> Values:
    """Raises UserError naming the annotation whose result is no decision."""
    by_name = {str(result.get("from_name")): result.get("value") for result in told.results}
    try:
        said = FORMS[told.kind].said(by_name, told.sides)
        return decision_of(told.kind, said, sides=told.sides, axes=axes)  # type: ignore[arg-type]
    except UserError as error:
        raise UserError(f"{told.where}: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{told.where}: not the result of a {told.kind}: {_about(error)}") from None
