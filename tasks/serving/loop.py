"""An engine's turns: requests join what it makes and leave it; their tokens go to asyncio."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from model.engine import Continuation, Engine, Step
from tasks.serving.engine_thread import ENGINE_THREAD, EngineThread
from tasks.serving.ticket import Ticket, tell

log = logging.getLogger(__name__)

T = TypeVar("T")


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


class Loop:
    """Requests wait in a queue, join a free slot, and get a token at each step of the engine.

    queue: how many may wait beside those in slots. tell_s: first and last tokens are told at once, those between them
    together, so often: each call into the event loop takes the engine's cores away from it.
    """

    def __init__(
        self, engine: Engine, *, queue: int, tell_s: float = 0.0, thread: EngineThread = ENGINE_THREAD
    ) -> None:  # fmt: skip
        self.context = engine.context
        self.engine_name = engine.name
        self._engine = engine
        self._most = engine.slots + queue
        self._tell_s = tell_s
        self._told = 0.0  # when, by the monotonic clock
        self._untold: list[tuple[Ticket, Step | Exception]] = []  # of the thread alone, as _live is
        self._thread = thread
        self._news = thread.news
        self._waiting: deque[Ticket] = deque()
        self._live: dict[int, Ticket] = {}  # by slot; of the thread alone
        self._closing = False
        self._ended = threading.Event()
        self._tokens = 0
        thread.add(self)

    def submit(self, asked: Continuation) -> Ticket:
        """Puts a request in the queue; called in an event loop. Raises Full and Closed."""
        ticket = Ticket(asked, home=asyncio.get_running_loop(), wake=self.wake)
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

    @property
    def has_ended(self) -> bool:
        """Whether it was closed, and nothing of it is left."""
        return self._ended.is_set()

    async def run(self, work: Callable[[], T]) -> T:
        """What it returns, computed in the engine's thread, between two steps."""
        return await asyncio.wrap_future(self._thread.submit(work))

    def close(self) -> None:
        """Takes no more, waits until what it has is finished, and closes the engine; of any thread, once or more."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._ended.wait()

    def has_work(self) -> bool:
        """See `Turns.has_work`."""
        return bool(self._waiting or self._live or self._closing)

    def turn(self) -> bool:
        """See `Turns.turn`: a step of the engine. An engine that can't even free a slot ends, and no other with it."""
        try:
            goes_on = self._goes_on()
        except Exception as error:
            log.exception("the engine failed for good")
            self._closing, goes_on = True, False
            self._drop_all(EngineFailed(_line(error)))
        if not goes_on:
            self._ended.set()
        return goes_on

    def _goes_on(self) -> bool:
        self._free_left()
        self._join_waiting()
        if self._live:
            self._step()
        with self._news:
            is_last = self._closing and not self._waiting and not self._live
        if is_last:
            self._engine.close()
        return not is_last

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
                tell([(ticket, EngineFailed(_line(error)))])
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
        urgent = False
        for step in steps:
            ticket = self._live[step.slot]
            self._untold.append((ticket, step))
            self._tokens += step.token is not None
            urgent = urgent or not ticket.begun or step.finished is not None
            ticket.begun = True
            if step.finished is not None:
                del self._live[step.slot]
        if urgent or time.monotonic() - self._told >= self._tell_s:
            self._tell_untold()

    def _drop_all(self, error: Exception) -> None:
        lost = list(self._live.items())
        self._live.clear()
        for slot, _ in lost:
            with contextlib.suppress(Exception):  # it has failed already
                self._engine.leave(slot)
        self._untold += [(ticket, error) for _, ticket in lost]
        self._tell_untold()

    def _tell_untold(self) -> None:
        self._told, untold, self._untold = time.monotonic(), self._untold, []
        tell(untold)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
