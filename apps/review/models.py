"""The two models that answer a reviewer's own question: asked live, over the server's own API."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import BaseModel, Field, ValidationError

from tasks.reviews.asking import NONCE
from tasks.reviews.cards import draw
from tasks.reviews.params import QuestionParams
from tasks.serving.reply import Finish, Reply, Share
from tasks.stage import UserError

TIMEOUT_S = 90.0  # a queue before the reply, and its making; the page waits longer
SEEDS = 2**53  # a seed that JSON's numbers hold everywhere
GO_ON = "Go on with the other items, and ask again later."

_LOG = logging.getLogger(__name__)


class _Ready(BaseModel):
    served: dict[str, Share]  # fledgling/3 and whose part it has; the first is the champion


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message
    finish_reason: Finish


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Chat(BaseModel):
    """What is read of a reply; there is more."""

    object: Literal["chat.completion"]
    id: str
    model: str
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage


@dataclass(frozen=True, kw_only=True)
class Models:
    """The server of the models. key: None where it asks for none."""

    address: str
    key: str | None

    async def replies(self, question: str, *, nonce: str, params: QuestionParams) -> tuple[Reply, Reply]:
        """What the champion and another served version say; both are waited for, so that no pace gives one away.

        Raises UserError with a line for the reviewer where there are no two replies.
        """
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with httpx.AsyncClient(base_url=self.address, headers=headers, timeout=TIMEOUT_S) as client:
                shares = _Ready.model_validate_json(_text(await client.get("/ready"))).served
                asked = [_asked(client, name, shares[name], question, nonce, params) for name in _two(shares, nonce)]
                first, second = await asyncio.gather(*asked)
        except (httpx.TransportError, ValidationError) as error:
            _LOG.warning("%s: %s", self.address, " ".join(f"{error or type(error).__name__}".split()))
            raise UserError(f"The models can't be asked now. {GO_ON}") from None
        if "content_filter" in (first.finish_reason, second.finish_reason):
            raise UserError("A model may not answer that. Ask something else.")
        return first, second


def _two(shares: Mapping[str, Share], nonce: str) -> tuple[str, str]:
    """The champion, and one of the others by the question's nonce."""
    names = list(shares)
    if len(names) < 2:
        raise UserError(f"There are no two models to compare now. {GO_ON}")
    return names[0], names[1 + int(draw("second", nonce) * (len(names) - 1))]


async def _asked(
    client: httpx.AsyncClient, model: str, share: Share, question: str, nonce: str, params: QuestionParams
) -> Reply:
    began, seed = time.monotonic(), int(draw("seed", model, nonce) * SEEDS)
    messages, settings = ({"role": "user", "content": question},), params.model_dump()
    body = {"model": model, "messages": messages, "seed": seed, **settings}
    answer = _Chat.model_validate_json(_text(await client.post("/v1/chat/completions", json=body)))
    choice = answer.choices[0]
    return Reply(
        id=answer.id, created_at=datetime.now(UTC), version=answer.model.rpartition("/")[2], model_md5="", share=share,
        conversation=None, kind="chat", messages=messages, settings={**settings, NONCE: nonce},
        reply=choice.message.content, finish_reason=choice.finish_reason, prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens, latency_ms=(time.monotonic() - began) * 1000,
        first_token_ms=None, guard=None, seed=seed,
    )  # fmt: skip


def _text(response: httpx.Response) -> str:
    """What the server says. Raises UserError with its own line where that is about the question, else with ours."""
    if response.is_success:
        return response.text
    _LOG.warning("%s: %s %s", response.url, response.status_code, response.text[:500])
    if response.status_code != httpx.codes.BAD_REQUEST:
        raise UserError(f"The models can't be asked now. {GO_ON}")
    raise UserError("The models can't take this question: it may be too long for them.")
