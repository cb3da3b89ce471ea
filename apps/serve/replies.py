"""The answers of the API, as OpenAI's clients read them."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from tasks.serving.answering import Answer

Finish = Literal["stop", "length", "content_filter"]


class Usage(BaseModel):
    """Tokens of the prompt and of the reply."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"]
    content: str


class ChatChoice(BaseModel):
    """labels: how likely each is, where labels were given."""

    index: int
    message: ChatMessage
    logprobs: None
    finish_reason: Finish
    labels: dict[str, float] | None = None


class ChatReply(BaseModel):
    """A chat's reply."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage


class CompletionChoice(BaseModel):
    """What follows the prompt."""

    index: int
    text: str
    logprobs: None
    finish_reason: Finish


class CompletionReply(BaseModel):
    """A text that was gone on with."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage


class ModelCard(BaseModel):
    """A model that can be asked."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"]
    data: list[ModelCard]


DONE = b"data: [DONE]\n\n"


def headers(answer: Answer) -> dict[str, str]:
    """Which version replies, and as whose share of the traffic."""
    return {"X-Fledgling-Version": answer.live.served.told, "X-Fledgling-Share": answer.share}


def whole(answer: Answer) -> dict[str, Any]:
    """The reply in one piece."""
    chat = answer.wish.kind == "chat"
    said: dict[str, Any] = {"message": {"role": "assistant", "content": answer.text}} if chat else {"text": answer.text}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": answer.finish}
    if answer.probabilities:
        choice["labels"] = answer.probabilities
    return {**_head(answer, "" if chat else None), "choices": [choice], "usage": _usage(answer)}


class Events:
    """The reply as server-sent events. What all of them have in common is written once."""

    def __init__(self, answer: Answer, *, usage: bool) -> None:
        self._answer, self._wants_usage = answer, usage
        self._chat = answer.wish.kind == "chat"
        self._head = _head(answer, ".chunk" if self._chat else None)
        body = self._text({"content": "?"} if self._chat else "?", None)
        before, _, after = json.dumps(body).rpartition('"?"')
        self._before, self._after = f"data: {before}".encode(), f"{after}\n\n".encode()

    def first(self) -> bytes:
        """A chat says who speaks."""
        return self._event(self._text({"role": "assistant", "content": ""}, None)) if self._chat else b""

    def piece(self, text: str) -> bytes:
        """More of the text."""
        return self._before + json.dumps(text).encode() + self._after

    def last(self) -> bytes:
        """Why it ended, the numbers where they are wanted, and OpenAI's end mark."""
        events = self._event(self._text({} if self._chat else "", self._answer.finish))
        if self._wants_usage:
            events += self._event({**self._head, "choices": [], "usage": _usage(self._answer)})
        return events + DONE

    def _text(self, delta: Mapping[str, str] | str, finish: str | None) -> dict[str, Any]:
        key = "delta" if self._chat else "text"
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        if finish and self._answer.probabilities:
            choice["labels"] = self._answer.probabilities
        body = {**self._head, **({"usage": None} if self._wants_usage else {})}
        return {**body, "choices": [{**choice, key: delta}]}

    def _event(self, body: Mapping[str, Any]) -> bytes:
        return b"data: " + json.dumps(body).encode() + b"\n\n"


def error_event(body: Mapping[str, Any]) -> bytes:
    """An error after the reply has begun; OpenAI's clients raise it."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _head(answer: Answer, chat: str | None) -> dict[str, Any]:
    """chat: what follows its kind; None: a completion."""
    return {
        "id": answer.id,
        "object": "text_completion" if chat is None else f"chat.completion{chat}",
        "created": int(answer.created_at.timestamp()),
        "model": answer.live.served.told,
        "system_fingerprint": answer.live.fingerprint,
    }


def _usage(answer: Answer) -> dict[str, int]:
    prompt, said = answer.prompt_tokens, answer.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
