"""A request on its way: the engine's thread tells it its tokens, and who asked waits for them in an event loop."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Literal

from model.engine import Continuation, Step


class Ticket:
    """A request on its way: iterate it for its tokens, in the event loop that submitted it.

    home: the event loop that asked. wake: has the engine's thread look at its tickets. finished: why it ended, None
    before and after a cancellation. first_token_s: from submitting, None before.
    """

    def __init__(self, asked: Continuation, *, home: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self.asked = asked
        self.finished: Literal["stop", "length"] | None = None
        self.first_token_s: float | None = None
        self.home = home
        self.cancelled = False
        self.begun = False  # whether the engine made a token; of its thread alone
        self._wake_engine = wake
        self._submitted = time.monotonic()
        self._tokens: deque[int] = deque()
        self._error: Exception | None = None
        self._wakes: asyncio.Future[None] | None = None

    def __aiter__(self) -> "Ticket":
        return self

    async def __anext__(self) -> int:
        if not await self._has_more():
            raise StopAsyncIteration
        return self._tokens.popleft()

    async def more(self) -> list[int]:
        """All tokens that came since the last time, one at least; none where it has ended. Raises EngineFailed."""
        if not await self._has_more():
            return []
        tokens = list(self._tokens)
        self._tokens.clear()
        return tokens

    def cancel(self) -> None:
        """Ends it and frees its slot before the next step; nothing happens to one that has ended."""
        if self.finished is None and not self.cancelled:
            self.cancelled = True
            self._wake_engine()
        self._wake()

    def take(self, token: int | None, finished: Literal["stop", "length"] | None) -> None:
        """A step's news; in the home event loop."""
        if token is not None:
            self._tokens.append(token)
            if self.first_token_s is None:
                self.first_token_s = time.monotonic() - self._submitted
        self.finished = finished
        self._wake()

    def fail(self, error: Exception) -> None:
        """It will not go on: whoever waits for it is told; in the home event loop."""
        self._error = error
        self._wake()

    async def _has_more(self) -> bool:
        while True:
            if self._error is not None:
                raise self._error
            if self._tokens:
                return True
            if self.finished is not None or self.cancelled:
                return False
            self._wakes = self.home.create_future()
            await self._wakes

    def _wake(self) -> None:
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)


def tell(news: Iterable[tuple[Ticket, Step | Exception]]) -> None:
    """One call into each event loop, however many tickets: a wake-up costs more than a token. From any thread."""
    for home, group in groupby(news, key=lambda one: one[0].home):
        _call(home, list(group))


def _call(home: asyncio.AbstractEventLoop, news: list[tuple[Ticket, Step | Exception]]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop is closed, nobody listens
        home.call_soon_threadsafe(_hand_out, news)


def _hand_out(news: list[tuple[Ticket, Step | Exception]]) -> None:
    for ticket, told in news:
        if isinstance(told, Step):
            ticket.take(told.token, told.finished)
        else:
            ticket.fail(told)
