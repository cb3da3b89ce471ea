"""The reviewer's routes: joining, the desk, and what is sent from it."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field, Json
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from apps.review.access import Visit, check_origin, member
from apps.review.look import page
from apps.review.service import Changing, Joining, Served, Service, Visiting, now
from tasks.reviews.answering import Submission, answer, skip, undo
from tasks.reviews.cards import Card, cards
from tasks.reviews.database import Unavailable
from tasks.reviews.decisions import SKIP_REASONS
from tasks.reviews.leasing import deal
from tasks.reviews.progress import progress
from tasks.reviews.tables import Reviewer
from tasks.stage import UserError

router = APIRouter()
A_DAY_MS = 86_400_000
OK = PlainTextResponse("ok\n")


class Holding(BaseModel):
    """What the page already has: the assignments of its prefetched cards, between spaces."""

    holding: str = Field("", pattern=r"^[0-9 ]{0,4000}$")

    @property
    def held(self) -> frozenset[int]:
        return frozenset(map(int, self.holding.split()))


class Undoing(Holding):
    """The nonce is the browser's; the same one again is the same request."""

    nonce: str = Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9-]+$")


class Sent(Undoing):
    """An answer or a skip. said: by the kind of the card, see tasks.reviews.decisions."""

    assignment: int = Field(ge=0, le=2**53)
    said: Json[dict[str, Any]]
    milliseconds: int = Field(ge=0, le=A_DAY_MS)
    page_version: str = Field(max_length=40)

    @property
    def submission(self) -> Submission:
        return Submission(
            assignment=self.assignment, nonce=self.nonce, said=self.said,
            milliseconds=self.milliseconds, page_version=self.page_version,
        )  # fmt: skip


@router.get("/healthz")
def healthz(service: Served) -> Response:
    """Whether the page and its database answer."""
    with service.database.reading() as session:
        session.get(Reviewer, 0)
    return OK


@router.get("/join")
def ask_to_join(service: Served, token: str = "") -> Response:
    """A page with a button: to look at a link (a mail program does) lets nobody in."""
    with service.database.reading() as session:
        name = service.gate.invited(session, token).name
    return page("join.html.j2", {"name": name, "token": token})


@router.post("/join")
def join(request: Request, service: Joining, token: Annotated[str, Form(max_length=1000)]) -> Response:
    """Lets in whom the link invites."""
    check_origin(request)
    with service.database.reading() as session:
        reviewer = service.gate.invited(session, token)
        response = RedirectResponse("/owner" if reviewer.role == "owner" else "/", status_code=303)
        service.gate.let_in(response, request, reviewer)
    return response


@router.post("/leave")
def leave(request: Request, service: Served, visit: Changing) -> Response:
    """Ends the session in this browser."""
    response = Response(headers={"HX-Redirect": "/"})
    service.gate.see_out(response, request)
    return response


@router.get("/")
def desk(service: Served, visit: Visiting) -> Response:
    """The desk with the first cards."""
    with service.database.session() as session:
        reviewer = member(session, visit)
        values = _values(service, session, reviewer)
        person = {"reviewer": reviewer.pseudonym, "name": reviewer.name, "is_owner": reviewer.role == "owner"}
    return page("desk.html.j2", {**values, **person, "csrf": service.gate.csrf(visit), "reasons": SKIP_REASONS})


@router.post("/answers")
def take_answer(service: Served, visit: Changing, sent: Annotated[Sent, Form()]) -> Response:
    """Stores an answer; what comes back, comes after it was stored."""

    def store(session: Session, reviewer: Reviewer) -> None:
        answer(session, reviewer, sent.submission, rubric=service.rubric, now=now())

    return stored(service, visit, sent, store)


@router.post("/skips")
def take_skip(service: Served, visit: Changing, sent: Annotated[Sent, Form()]) -> Response:
    """Stores that an item was left out, and why."""

    def store(session: Session, reviewer: Reviewer) -> None:
        skip(session, reviewer, sent.submission, params=service.params, now=now())

    return stored(service, visit, sent, store)


@router.post("/undo")
def take_back(service: Served, visit: Changing, sent: Annotated[Undoing, Form()]) -> Response:
    """Takes the last answer back; its card comes first."""

    def store(session: Session, reviewer: Reviewer) -> Card | None:
        return undo(
            session, reviewer, nonce=sent.nonce, params=service.params, rubric=service.rubric, now=now()
        )  # fmt: skip

    return stored(service, visit, sent, store)


@router.post("/cards")
def more_cards(service: Served, visit: Changing, sent: Annotated[Holding, Form()]) -> Response:
    """The next cards without an answer: where there was none a while ago."""
    return stored(service, visit, sent, lambda session, reviewer: None)


def stored(
    service: Service, visit: Visit, sent: Holding, store: Callable[[Session, Reviewer], Card | None]
) -> Response:
    """Stores, then gives the cards that the page has not yet; what is refused is told, with the cards as they are."""
    try:
        with service.database.session() as session:
            reviewer = member(session, visit)
            values = _values(service, session, reviewer, first=store(session, reviewer), held=sent.held)
    except Unavailable:
        raise
    except UserError as error:
        with service.database.session() as session:
            values = _values(service, session, member(session, visit), held=sent.held, told=str(error))
        return page("after.html.j2", values, status=409)
    return page("after.html.j2", values)


def _values(
    service: Service, session: Session, reviewer: Reviewer, *, first: Card | None = None,
    held: frozenset[int] = frozenset(), told: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What the templates say. first: a card that was taken back; the page's own copy of it is gone."""
    params, rubric, moment = service.params, service.rubric, now()
    order = deal(session, reviewer, count=params.prefetch + 1, params=params, now=moment)
    back = [] if first is None else [first]
    known = held | {card.assignment for card in back}
    return {
        "order": list(dict.fromkeys([*(card.assignment for card in back), *order])),
        "cards": [*back, *cards(session, [number for number in order if number not in known], rubric=rubric)],
        "progress": progress(session, reviewer, now=moment, undo_last=params.undo_last),
        "axes": {**rubric.story, **rubric.task},
        "told": told,
    }
