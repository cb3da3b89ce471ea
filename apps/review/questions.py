"""The route of a reviewer's own question: two models answer it live, and what they say is the next card."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from apps.review.access import Visit, member
from apps.review.pages import Undoing, stored
from apps.review.service import Changing, Served, Service, now
from tasks.reviews import served
from tasks.reviews.asking import is_answered, keep, question_of
from tasks.reviews.cards import Card
from tasks.reviews.database import Unavailable
from tasks.reviews.tables import Reviewer
from tasks.serving.reply import Reply
from tasks.stage import UserError

router = APIRouter()


class Question(Undoing):
    """What is asked. The nonce is the browser's; the same one again is the same question."""

    text: str = Field(max_length=20_000)


@router.post("/questions")
async def ask(service: Served, visit: Changing, sent: Annotated[Question, Form()]) -> Response:
    """Asks two models and stores what they say; where they don't, one line tells why, with the cards as they are."""
    refusal, replies = "", tuple[Reply, ...]()
    try:
        replies = await _replies(service, visit, sent)
    except Unavailable:
        raise
    except UserError as error:
        refusal = str(error)
    return await run_in_threadpool(_kept, service, visit, sent, replies, refusal)


async def _replies(service: Service, visit: Visit, sent: Question) -> tuple[Reply, ...]:
    """Nothing where an earlier sending brought them."""
    if await run_in_threadpool(_is_answered, service, visit, sent):
        return ()
    if not await service.limits.allows_question(visit.key):
        raise UserError("So many questions in a minute are too many for the models. Go on with the other items.")
    asking = service.models.replies(question_of(sent.text), nonce=sent.nonce, params=service.params.question)
    replies, _ = await asyncio.gather(asking, run_in_threadpool(served.prepare))
    return replies


def _is_answered(service: Service, visit: Visit, sent: Question) -> bool:
    with service.database.reading() as session:
        member(session, visit)
        return is_answered(session, question_of(sent.text), nonce=sent.nonce)


def _kept(service: Service, visit: Visit, sent: Question, replies: tuple[Reply, ...], refusal: str) -> Response:
    def store(session: Session, reviewer: Reviewer) -> Card | None:
        if refusal:
            raise UserError(refusal)
        return keep(
            session, reviewer, replies, question=question_of(sent.text), nonce=sent.nonce, rubric=service.rubric,
            params=service.params, now=now(),
        )  # fmt: skip

    return stored(service, visit, sent, store)
