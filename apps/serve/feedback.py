"""What people in the chat say of replies: a vote, or that somebody should look at one. Both become review items.

The routes wait for the database in threads of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from apps.serve.openai_errors import ApiError, ErrorBody
from apps.serve.service import service_of
from tasks.reviews.database import Unavailable
from tasks.serving.record import UnknownReply
from tasks.stage import UserError

ReplyId = Annotated[str, Field(min_length=1, max_length=64)]


class Vote(BaseModel):
    """A thumb on a reply; with `other` which of two replies to one question is better."""

    model_config = ConfigDict(extra="forbid")

    reply_id: ReplyId
    value: Literal["up", "down", "better", "worse", "tie"]
    other: ReplyId | None = None


class Review(BaseModel):
    """A reply that somebody should look at."""

    model_config = ConfigDict(extra="forbid")

    reply_id: ReplyId


class Taken(BaseModel):
    """What became of it. item: on the review page; None where there is nothing to decide."""

    item: str | None


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning}
    for status, meaning in {
        400: "It is no vote.",
        401: "The key is none of the server's.",
        404: "The reply is not known any more, or never was.",
        413: "The body is too long.",
        503: "The review database can't be used now.",
    }.items()
}

router = APIRouter(prefix="/feedback", responses=ERRORS, tags=["Feedback"])


@router.post("/vote")
def vote(vote: Vote, request: Request) -> Taken:
    """Keeps a vote, and the reply that it is on; a person reviews what was voted on."""
    with _told_as_errors():
        return Taken(item=service_of(request).record.vote(vote.reply_id, vote.value, other=vote.other))


@router.post("/review")
def review(sent: Review, request: Request) -> Taken:
    """Puts a reply before reviewers, who may write a better one."""
    with _told_as_errors():
        return Taken(item=service_of(request).record.send_to_review(sent.reply_id))


@contextmanager
def _told_as_errors() -> Iterator[None]:
    try:
        yield
    except UnknownReply as error:
        raise ApiError(404, str(error), param="reply_id", code="reply_not_found") from None
    except Unavailable as error:
        raise ApiError(503, str(error), kind="server_error", code="database", headers={"Retry-After": "5"}) from None
    except UserError as error:
        raise ApiError(400, str(error), code="invalid_value") from None
