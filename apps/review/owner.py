"""The owner's routes: batches, agreement, reviewers, and any item with all that was done with it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload
from starlette.responses import HTMLResponse, Response

from apps.review.access import Visit, member
from apps.review.look import page
from apps.review.service import Changing, Served, Service, Visiting, now
from tasks.reviews import reviewers
from tasks.reviews.batch_file import text_of
from tasks.reviews.chains import history, in_force
from tasks.reviews.kinds import Role
from tasks.reviews.overview import BatchOverview, batch_overview, overview
from tasks.reviews.rows import rows_of
from tasks.reviews.tables import Annotation, Export, Item, Reviewer, Shown
from tasks.stage import UserError

router = APIRouter(prefix="/owner")
ITEMS_A_PAGE = 200
LETTERS = "ABCD"


@router.get("")
def see_all(service: Served, visit: Visiting) -> Response:
    """Batches, agreement and reviewers."""
    with service.database.reading() as session:
        owner = member(session, visit, role="owner")
        values = {"seen": overview(session, service.params, now=now()), **_shared(service, visit, owner)}
    return page("owner.html.j2", values)


@router.get("/batches/{batch}")
def see_batch(service: Served, visit: Visiting, batch: str, start: int = 0) -> Response:
    """A batch and its items, two hundred a page."""
    with service.database.reading() as session:
        owner = member(session, visit, role="owner")
        seen = batch_overview(session, batch, service.params)
        if seen is None:
            return _unknown(f"There is no batch {batch}.")
        values = {**_items(session, seen, max(start, 0)), **_shared(service, visit, owner)}
    return page("batch.html.j2", values)


@router.get("/items/{item:path}")
def see_item(service: Served, visit: Visiting, item: str) -> Response:
    """An item, where its answers come from, and everything that was done with it."""
    with service.database.reading() as session:
        owner = member(session, visit, role="owner")
        answers = selectinload(Item.shown).joinedload(Shown.generation)
        found = session.get(Item, item, options=[joinedload(Item.prompt), joinedload(Item.batch), answers])
        if found is None:
            return _unknown(f"There is no item {item}.")
        values = {"item": found, **_history(session, found), **_shared(service, visit, owner)}
        return page("item.html.j2", values)


@router.get("/files/{name}")
def take_file(service: Served, visit: Visiting, name: str) -> Response:
    """A collected batch as its file in data/feedback has it, byte for byte."""
    with service.database.reading() as session:
        member(session, visit, role="owner")
        export = session.scalar(select(Export).where(Export.file == name))
        if export is None:
            return _unknown(f"There is no file {name}.")
        headers = {"Content-Disposition": f'attachment; filename="{export.file}"'}
        return Response(text_of(rows_of(session, export.id)), media_type="application/jsonl", headers=headers)


@router.post("/reviewers")
def invite(
    service: Served, visit: Changing, name: Annotated[str, Form(max_length=200)], role: Annotated[Role, Form()]
) -> Response:
    """Adds a person; their link is shown."""
    with service.database.session() as session:
        member(session, visit, role="owner")
        return _link(service, reviewers.add(session, name, role, now()))


@router.post("/reviewers/{number}/link")
def link(service: Served, visit: Changing, number: int) -> Response:
    """A new link for a person; those of before still hold."""
    with service.database.session() as session:
        member(session, visit, role="owner")
        return _link(service, _reviewer(session, number))


@router.post("/reviewers/{number}/revoke")
def revoke(service: Served, visit: Changing, number: int) -> Response:
    """Ends every link and session of a person; what they said stays."""
    if number == visit.reviewer:
        raise UserError("You can't end your own access; another owner can.")
    with service.database.session() as session:
        member(session, visit, role="owner")
        reviewers.revoke(session, _reviewer(session, number).name)
    return Response(headers={"HX-Refresh": "true"})


@router.post("/reviewers/{number}/admit")
def admit(service: Served, visit: Changing, number: int) -> Response:
    """Lets a person in again; they need a new link."""
    with service.database.session() as session:
        member(session, visit, role="owner")
        reviewers.admit(session, _reviewer(session, number).name)
    return Response(headers={"HX-Refresh": "true"})


def _shared(service: Service, visit: Visit, owner: Reviewer) -> dict[str, Any]:
    return {"name": owner.name, "own_id": owner.id, "csrf": service.gate.csrf(visit)}


def _unknown(line: str) -> HTMLResponse:
    return page("told.html.j2", {"line": line, "may_go_on": False}, status=404)


def _reviewer(session: Session, number: int) -> Reviewer:
    reviewer = session.get(Reviewer, number)
    if reviewer is None:
        raise UserError(f"there is no reviewer {number}")
    return reviewer


def _link(service: Service, reviewer: Reviewer) -> HTMLResponse:
    return page("link.html.j2", {"name": reviewer.name, "link": service.gate.invite_link(reviewer)})


def _items(session: Session, seen: BatchOverview, start: int) -> dict[str, Any]:
    query = (
        select(Item)
        .where(Item.batch_id == seen.id)
        .order_by(Item.position)
        .offset(start)
        .limit(ITEMS_A_PAGE)
        .options(joinedload(Item.prompt))
    )
    items = session.scalars(query).all()
    counted = (
        select(Annotation.item_id, Annotation.action, func.count())
        .where(Annotation.item_id.in_([item.id for item in items]), in_force())
        .group_by(Annotation.item_id, Annotation.action)
    )
    counts = {(item, action): count for item, action, count in session.execute(counted)}
    following = start + ITEMS_A_PAGE if len(items) == ITEMS_A_PAGE else None
    return {"batch": seen, "items": items, "counts": counts, "start": start, "next_start": following}


def _history(session: Session, item: Item) -> dict[str, Any]:
    """What was done, in words; letters name the answers in the item's own order."""
    letters = {shown.generation_id: LETTERS[shown.place] for shown in item.shown}
    done = history(session, item.id)
    superseded = {annotation.supersedes for annotation in done}
    return {
        "letters": letters,
        "gold": _in_words(item.gold, letters) if item.gold else None,
        "judge": _in_words({key: told for key, told in item.judge.items() if key != "judge"}, letters),
        "done": [(row, _in_words(row.decision, letters), row.id not in superseded) for row in done],
    }


def _in_words(decision: Mapping[str, Any], letters: Mapping[str, str]) -> str:
    """A decision with the answers' letters; what it does not know is told as it is."""
    return "; ".join(_told(key, value, letters) for key, value in decision.items())


def _told(key: str, value: Any, letters: Mapping[str, str]) -> str:
    if key == "winner":
        return letters.get(value, str(value).replace("_", " "))
    if key == "tiers":
        return " › ".join(" = ".join(sorted(letters.get(answer, answer) for answer in tier)) for tier in value)
    if key == "scores":
        return ", ".join(f"{axis.replace('_', ' ')} {level}" for axis, level in value.items())
    return str(value) if key == "text" else f"{key}: {value}"
