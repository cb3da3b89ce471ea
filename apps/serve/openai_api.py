"""The routes that OpenAI's clients call."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import JSONResponse, Response

from apps.serve import replies
from apps.serve.openai_errors import ApiError, ErrorBody
from apps.serve.replies import ChatReply, CompletionReply, Events, ModelCard, ModelList
from apps.serve.requests import ChatRequest, CompletionRequest
from apps.serve.service import Service, service_of
from apps.serve.streaming import ClientGone, EventStream, while_connected
from tasks.serving.answering import Answer, Wish

STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
_MEANINGS = {
    400: "Something in the request is not allowed; `param` says what.",
    401: "No key, or one that is not valid.",
    403: "Not this machine's own address, or a page of another site.",
    404: "No such model.",
    413: "The body is too large.",
    429: "Too many requests wait.",
    500: "The engine failed.",
    503: "The model is being loaded.",
    504: "The reply was not made in time.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning} for status, meaning in _MEANINGS.items()
}
CLIENT_GONE = 499  # nginx's number; nobody reads it

router = APIRouter(prefix="/v1", responses=ERRORS, tags=["OpenAI's API"])

Conversation = Annotated[str | None, Header(alias="X-Conversation-Id", min_length=1, max_length=200)]


@router.post("/chat/completions", response_model=ChatReply, responses={200: STREAM})
async def chat(asked: ChatRequest, request: Request, x_conversation_id: Conversation = None) -> Response:
    """Reply to a conversation; with `labels` the likeliest of them is the reply."""
    return await _reply(request, asked.model, asked.wish(x_conversation_id), usage=asked.wants_usage)


@router.post("/completions", response_model=CompletionReply, responses={200: STREAM})
async def complete(asked: CompletionRequest, request: Request, x_conversation_id: Conversation = None) -> Response:
    """Go on from a text."""
    return await _reply(request, asked.model, asked.wish(x_conversation_id), usage=asked.wants_usage)


@router.get("/models")
async def models(request: Request) -> ModelList:
    """What may be asked for: `fledgling`, and each version by its number and its alias."""
    return ModelList(object="list", data=_cards(service_of(request)))


@router.get("/models/{model:path}")
async def model(model: str, request: Request) -> ModelCard:
    """One of them."""
    found = [card for card in _cards(service_of(request)) if card.id == model]
    if not found:
        raise ApiError(404, f"the model '{model}' is not served", param="model", code="model_not_found")
    return found[0]


async def _reply(request: Request, model: str, wish: Wish, *, usage: bool) -> Response:
    service = service_of(request)
    answer = await service.begin(model, wish)
    if wish.streamed:
        return await _streamed(request, service, answer, Events(answer, usage=usage))
    try:
        await while_connected(request, _made(service, answer))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)
    return JSONResponse(replies.whole(answer), headers=replies.headers(answer))


async def _made(service: Service, answer: Answer) -> None:
    async with aclosing(service.pieces(answer)) as pieces:
        async for _ in pieces:
            pass


async def _streamed(request: Request, service: Service, answer: Answer, events: Events) -> Response:
    """The reply as events, as soon as there is a first word: until then an error is an answer of its own."""
    pieces = service.pieces(answer)
    try:
        first = await while_connected(request, anext(pieces, ""))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)
    return EventStream(_events(service, pieces, first, events), headers=replies.headers(answer))


async def _events(
    service: Service, pieces: AsyncGenerator[str, None], first: str, events: Events
) -> AsyncGenerator[bytes, None]:
    """The events; an error after the first of them is an event too."""
    async with aclosing(pieces):
        yield events.first() + (events.piece(first) if first else b"")
        try:
            async for piece in pieces:
                if piece:
                    yield events.piece(piece)
        except ApiError as error:
            service.metrics.refused(error.status)
            yield replies.error_event(error.body)
        else:
            yield events.last()


def _cards(service: Service) -> list[ModelCard]:
    now = int(time.time())
    return [ModelCard(id=name, object="model", created=now, owned_by="fledgling") for name, _ in service.fleet.names()]
