"""One thread that owns an engine: requests join what it makes and leave it; their tokens go to asyncio."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from model.engine import Continuation, Engine, Step

log = logging.getLogger(__name__)


class Full(Exception):
    """As many requests wait as may."""


class Closed(Exception):
    """The loop takes no more."""


class EngineFailed(Exception):
    """What the engine raised while it made a reply; its text is one line."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a loop is doing, and has done since it began."""

    waiting: int
    live: int
    slots: int
    tokens: int


class Ticket:
    """A request on its way: iterate it for its tokens, in the event loop that submitted it.

    finished: why it ended, None before and after a cancellation. first_token_s: from submitting, None before.
    """

    def __init__(self, asked: Continuation, owner: "Loop", home: asyncio.AbstractEventLoop) -> None:
        self.asked = asked
        self.finished: Literal["stop", "length"] | None = None
        self.first_token_s: float | None = None
        self.home = home
        self.cancelled = False
        self._owner = owner
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
            self._owner.wake()
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


class Loop:
    """Requests wait in a queue, join a free slot, and get a token at each step of the engine.

    queue: how many may wait beside those in slots.
    """

    def __init__(self, engine: Engine, *, queue: int) -> None:
        self.context = engine.context
        self.engine_name = engine.name
        self._engine = engine
        self._most = engine.slots + queue
        self._news = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._live: dict[int, Ticket] = {}  # by slot; of the thread alone
        self._closing = False
        self._tokens = 0
        self.thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.thread.start()

    def submit(self, asked: Continuation) -> Ticket:
        """Puts a request in the queue; called in an event loop. Raises Full and Closed."""
        ticket = Ticket(asked, self, asyncio.get_running_loop())
        with self._news:
            if self._closing:
                raise Closed
            if len(self._waiting) + len(self._live) >= self._most:
                raise Full
            self._waiting.append(ticket)
            self._news.notify()
        return ticket

    def wake(self) -> None:
        """Has the thread look at its tickets."""
        with self._news:
            self._news.notify()

    @property
    def figures(self) -> Figures:
        return Figures(
            waiting=len(self._waiting), live=len(self._live), slots=self._engine.slots, tokens=self._tokens
        )  # fmt: skip

    def close(self) -> None:
        """Takes no more, waits until what it has is finished, and closes the engine; of any thread, once or more."""
        with self._news:
            self._closing = True
            self._news.notify()
        self.thread.join()

    def _run(self) -> None:
        while self._has_work():
            self._free_left()
            self._join_waiting()
            if self._live:
                self._step()
        self._engine.close()

    def _has_work(self) -> bool:
        """Waits until there is something to do; False where it is closed and nothing is left."""
        with self._news:
            while not self._waiting and not self._live and not self._closing:
                self._news.wait()
            return bool(self._waiting or self._live)

    def _free_left(self) -> None:
        for slot in [slot for slot, ticket in self._live.items() if ticket.cancelled]:
            self._engine.leave(slot)
            del self._live[slot]

    def _join_waiting(self) -> None:
        while (ticket := self._next()) is not None:
            try:
                slot = self._engine.join(ticket.asked)
            except Exception as error:  # whatever befell this one, the next ones may go well
                if not isinstance(error, ValueError):
                    log.exception("the engine failed; a reply is lost")
                _tell(ticket.home, [(ticket, EngineFailed(_line(error)))])
            else:
                self._live[slot] = ticket

    def _next(self) -> Ticket | None:
        """The first that waits and is still wanted, where a slot is free."""
        with self._news:
            while self._waiting and self._waiting[0].cancelled:
                self._waiting.popleft()
            free = len(self._live) < self._engine.slots
            return self._waiting.popleft() if self._waiting and free else None

    def _step(self) -> None:
        try:
            steps = self._engine.step()
        except Exception as error:  # whatever befell these, the next ones may go well
            log.exception("the engine failed; %d replies are lost", len(self._live))
            self._drop_all(EngineFailed(_line(error)))
            return
        news: list[tuple[Ticket, Step | Exception]] = []
        for step in steps:
            news.append((self._live[step.slot], step))
            self._tokens += step.token is not None
            if step.finished is not None:
                del self._live[step.slot]
        _tell_all(news)

    def _drop_all(self, error: Exception) -> None:
        lost = list(self._live.items())
        self._live.clear()
        for slot, _ in lost:
            with contextlib.suppress(Exception):  # it has failed already
                self._engine.leave(slot)
        _tell_all([(ticket, error) for _, ticket in lost])


def _tell_all(news: Iterable[tuple[Ticket, Step | Exception]]) -> None:
    """One call into each event loop, however many tickets: a wake-up costs more than a token."""
    for _, group in groupby(news, key=lambda one: id(one[0].home)):
        told = list(group)
        _tell(told[0][0].home, told)


def _tell(home: asyncio.AbstractEventLoop, news: list[tuple[Ticket, Step | Exception]]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop is closed, nobody listens
        home.call_soon_threadsafe(_hand_out, news)


def _hand_out(news: list[tuple[Ticket, Step | Exception]]) -> None:
    for ticket, told in news:
        if isinstance(told, Step):
            ticket.take(told.token, told.finished)
        else:
            ticket.fail(told)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
