"""A server that speaks the chat page's part of the HTTP API from fixed texts, as slowly as a test wants it."""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from apps.serve import chat_page

STORY = (
    "Once there was a small owl named Pip, who could not sleep.\n\nHis mother flew with him at noon. "
    '"It is all ours," said Pip, and he looked at it for a long time.'
)
Answer = Callable[[Mapping[str, Any]], str]


@dataclass
class Spoken:
    """What it answers, and what it was asked. pause_s: between two pieces. refusal: (status, message, code)."""

    address: str = ""
    models: tuple[str, ...] = ("fledgling/3", "fledgling/2")
    answer: Answer = lambda body: STORY
    pause_s: float = 0.0
    finish: str = "stop"
    refusal: tuple[int, str, str | None] | None = None
    breaks_off: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # votes and reviews
    left: int = 0  # streams whose client went away
    numbers: Iterator[int] = field(default_factory=itertools.count)


def application(spoken: Spoken) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.include_router(chat_page.router)

    @app.get("/v1/models")
    def models() -> Response:
        return refused(spoken) or JSONResponse({"data": [{"id": name} for name in spoken.models]})

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        spoken.asked.append(body)
        spoken.headers.append(dict(request.headers))
        if refusal := refused(spoken):
            return refusal
        headers = {"X-Fledgling-Version": body["model"], "X-Fledgling-Share": "champion"}
        name = f"chatcmpl-{next(spoken.numbers):024x}"
        if body.get("stream"):
            return StreamingResponse(stream(spoken, body, name), media_type="text/event-stream", headers=headers)
        message = {"role": "assistant", "content": body["labels"][0]}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return JSONResponse({"id": name, "choices": choices, "usage": {"completion_tokens": 1}}, headers=headers)

    @app.post("/feedback/{kind}")
    async def take(kind: str, request: Request) -> Response:
        spoken.said.append((kind, await request.json()))
        return refused(spoken) or JSONResponse({})

    return app


def refused(spoken: Spoken) -> Response | None:
    if spoken.refusal is None:
        return None
    status, message, code = spoken.refusal
    return JSONResponse({"error": {"message": message, "type": "", "param": None, "code": code}}, status_code=status)


async def stream(spoken: Spoken, body: Mapping[str, Any], name: str) -> AsyncIterator[str]:
    """The answer in pieces of three characters, as tokens end anywhere."""
    text = spoken.answer(body)
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    try:
        for piece in pieces:
            yield event(name, choices=[{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
            await asyncio.sleep(spoken.pause_s)
    except (GeneratorExit, asyncio.CancelledError):
        spoken.left += 1
        raise
    if not spoken.breaks_off:
        yield event(name, choices=[{"index": 0, "delta": {}, "finish_reason": spoken.finish}])
        yield event(name, choices=[], usage={"completion_tokens": len(pieces)})
        yield "data: [DONE]\n\n"


def event(name: str, **values: Any) -> str:
    return f"data: {json.dumps({'id': name, **values})}\n\n"


@contextlib.contextmanager
def served(spoken: Spoken) -> Iterator[Spoken]:
    """Serves on a free port, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    spoken.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(application(spoken), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield spoken
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
