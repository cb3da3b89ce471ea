"""One reply from its request to its last word: tokens, text, stop texts, the guard, another seed."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from model.engine import Continuation
from tasks.chat import END_OF_TURN
from tasks.cleaning.safety import Finding
from tasks.serving.detokenising import Text
from tasks.serving.guard import REFUSAL, Guard
from tasks.serving.live import Live
from tasks.serving.params import ServeParams
from tasks.serving.reply import Finish, Kind, Reply, Share
from tasks.serving.sampling import Sampling, next_seed
from tasks.serving.stopping import Stops

PREFIX: Mapping[Kind, str] = {"chat": "chatcmpl-", "completion": "cmpl-"}
LONG = 20_000  # characters from which on encoding is done beside the event loop


class TooLong(Exception):
    """The prompt and its reply are more than the context; its text says by how much."""


class NotTaught(Exception):
    """The model was not taught to reply."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked: a chat's messages, or one message of the role user whose content is gone on with.

    labels: the reply is one of these, the likeliest. streamed: words are seen as they come, and can't be taken back.
    """

    kind: Kind
    messages: tuple[Mapping[str, str], ...]
    sampling: Sampling
    conversation: str | None = None
    labels: tuple[str, ...] = ()
    streamed: bool = False


class Answer:
    """A reply as it is made; iterate `pieces` once, then all the rest is known."""

    def __init__(self, wish: Wish, live: Live, guard: Guard, *, share: Share, params: ServeParams) -> None:
        self.id = PREFIX[wish.kind] + secrets.token_hex(12)
        self.wish, self.live, self.share = wish, live, share
        self.created_at = datetime.now(UTC)
        self.seed = wish.sampling.chosen_seed()
        self.text = ""
        self.finish: Finish | None = None
        self.prompt_tokens = self.completion_tokens = 0
        self.first_token_s: float | None = None
        self.guarded: str | None = None
        self.probabilities: dict[str, float] = {}
        self._guard = guard
        self._most_tokens, self._limit_s = params.max_tokens, params.time_limit_s
        self._began = time.monotonic()
        self._prompt: list[int] = []
        self._room = 0

    async def begin(self) -> None:
        """Encodes the prompt. Raises TooLong and NotTaught."""
        size = sum(len(message["content"]) for message in self.wish.messages)
        encode = self._encode
        self._prompt = await asyncio.to_thread(encode) if size > LONG else encode()
        self.prompt_tokens = len(self._prompt)
        self._room = self._room_for(self.wish.sampling.max_tokens)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The reply's text, piece by piece. Raises Full, EngineFailed, TooLong and TimeoutError."""
        asked = "\n\n".join([*_judged(self.wish.messages), *self.wish.labels])
        if finding := self._guard.prompt(asked):
            self._note("prompt refused", finding)
            self.text = self._refuse()
            yield self.text
            return
        made = self._label() if self.wish.labels else self._attempts()
        async with aclosing(made) as pieces:
            async for piece in pieces:
                self.text += piece
                yield piece

    def reply(self) -> Reply:
        """All of it, as it is recorded."""
        first = self.first_token_s
        return Reply(
            id=self.id, created_at=self.created_at, version=self.live.served.version,
            model_md5=self.live.served.model_md5, share=self.share, conversation=self.wish.conversation,
            kind=self.wish.kind, messages=self.wish.messages, settings=self._settings(), reply=self.text,
            finish_reason=self.finish or "cancelled", prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens, latency_ms=(time.monotonic() - self._began) * 1000,
            first_token_ms=None if first is None else first * 1000, guard=self.guarded, seed=self.seed,
        )  # fmt: skip

    def _encode(self) -> list[int]:
        if self.wish.kind == "completion":
            return self.live.encode_text(self.wish.messages[0]["content"])
        if not self.live.chats:
            raise NotTaught(
                f"{self.live.served.told} was not taught to reply: ask /v1/completions to go on from a text"
            )
        return self.live.encode(self.wish.messages)

    def _room_for(self, wanted: int | None) -> int:
        """How many tokens the reply may have."""
        context, left = self.live.loop.context, self.live.loop.context - len(self._prompt)
        if left < (wanted or 1):
            raise TooLong(
                f"the context is {context} tokens; {len(self._prompt)} of the prompt and {wanted or 1} of the reply "
                "are more"
            )
        return min(wanted or self._most_tokens, left)

    async def _attempts(self) -> AsyncGenerator[str, None]:
        """What may leave; where nothing has left of an unsafe reply it is drawn again, if the parameters say so."""
        attempt = 0
        while True:
            held = self._guard.hold()
            whole = ""
            async with aclosing(self._draw()) as drawn:
                async for text in drawn:
                    whole += text
                    if self.wish.streamed and (leaves := held.add(text)):
                        yield leaves
                    if held.finding:
                        break
            rest = held.end() if self.wish.streamed else whole
            finding = held.finding if self.wish.streamed else self._guard.reply(whole)
            if finding is None:
                yield rest
                return
            if not self._again(finding, attempt=attempt, final=held.has_left):
                if not held.has_left:
                    yield self._refuse()
                self.finish = "content_filter"
                return
            attempt += 1
            self.seed = next_seed(self.seed)

    def _again(self, finding: Finding, *, attempt: int, final: bool) -> bool:
        """Whether another reply is drawn."""
        done = self._guard.after(finding, attempt=sys.maxsize if final else attempt)
        self._note("reply retried" if done == "retry" else "reply refused", finding)
        return done == "retry"

    async def _draw(self) -> AsyncGenerator[str, None]:
        """One attempt's text, cut at a stop text, a chat's without the space around it."""
        text, stops = self.live.spelling.begin(), Stops(self.wish.sampling.stop)
        trimmed = Trimmed() if self.wish.kind == "chat" else None
        ends = frozenset({END_OF_TURN}) if self.wish.kind == "chat" else frozenset[int]()
        decoding = self.wish.sampling.decoding(max_tokens=self._room)
        ticket = self.live.loop.submit(
            Continuation(prompt=tuple(self._prompt), decoding=decoding, seed=self.seed, stop=ends)
        )  # fmt: skip
        late = ticket.home.call_later(self._left_s(), ticket.fail, TimeoutError())
        self.completion_tokens, self.finish = 0, None
        try:
            while tokens := await ticket.more():
                self.first_token_s = self.first_token_s or ticket.first_token_s
                added = self._heard(tokens, text, stops)
                yield trimmed.add(added) if trimmed else added
                if stops.found:
                    break
            if not stops.found:
                added = stops.add(text.end()) + stops.end()
                yield trimmed.add(added) if trimmed else added
            self.finish = "stop" if stops.found else ticket.finished
        finally:
            late.cancel()
            ticket.cancel()

    def _heard(self, tokens: Sequence[int], text: Text, stops: Stops) -> str:
        """What may leave of these tokens; those behind a stop text are not counted."""
        leaves = ""
        for token in tokens:
            self.completion_tokens += 1
            leaves += stops.add(text.add(token))
            if stops.found:
                break
        return leaves

    async def _label(self) -> AsyncGenerator[str, None]:
        """The likeliest of the labels."""
        ids = [self.live.encode_text(label) for label in self.wish.labels]
        if max(map(len, ids)) + 1 + len(self._prompt) > self.live.loop.context:
            raise TooLong(f"the context is {self.live.loop.context} tokens; the prompt and its longest label are more")
        async with asyncio.timeout(self._left_s()):  # not across a yield: another task may go on after it
            shares = await self.live.weigh(self._prompt, ids)
        self.probabilities = dict(zip(self.wish.labels, shares, strict=True))
        best = max(range(len(ids)), key=lambda at: shares[at])
        self.first_token_s = time.monotonic() - self._began
        self.completion_tokens, self.finish = len(ids[best]), "stop"
        yield self.wish.labels[best]

    def _refuse(self) -> str:
        """What is said in place of a reply."""
        self.finish = "content_filter"
        self.completion_tokens = 0
        return REFUSAL

    def _note(self, done: str, finding: Finding) -> None:
        self.guarded = f"{done}: {finding.category}"

    def _left_s(self) -> float:
        """Until the time limit; counted from the request, whatever was drawn since."""
        return max(0.0, self._began + self._limit_s - time.monotonic())

    def _settings(self) -> dict[str, object]:
        settings = {**self.wish.sampling.model_dump(mode="json"), "max_tokens": self._room}
        return {**settings, "labels": list(self.wish.labels)} if self.wish.labels else settings


class Trimmed:
    """A text without the space at its beginning and end, piece by piece."""

    def __init__(self) -> None:
        self._space = ""
        self._begun = False

    def add(self, text: str) -> str:
        """What may leave: space waits for the word after it."""
        text = self._space + text if self._begun else text.lstrip()
        told = text.rstrip()
        self._begun = self._begun or bool(told)
        self._space = text[len(told) :]
        return told


def _judged(messages: tuple[Mapping[str, str], ...]) -> list[str]:
    """What the guard reads of a conversation: all but a request that it has refused already."""
    replies = [message["content"] for message in messages[1:]] + [""]
    return [
        message["content"] for message, after in zip(messages, replies, strict=True) if after.strip() != REFUSAL
    ]  # fmt: skip
