"""The one thread of a process that computes: all versions that are served take turns in it.

A second one makes both slow, even while it sleeps: OpenMP (libgomp) counts the threads of all pools of a process, and
where they are more than the cores no pool waits awake for its own any more. A step then takes twice as long.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Turns(Protocol):
    """What takes turns."""

    def has_work(self) -> bool:
        """Whether a turn would do something; asked while `news` is held."""

    def turn(self) -> bool:
        """Does a little. False: this was the last one."""


class EngineThread:
    """It begins with the first that takes turns, and ends with the last. news: notify it where there is work."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self._turns: list[Turns] = []
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._runs = False

    def add(self, one: Turns) -> None:
        """Gives it turns, until it says that there are no more."""
        with self.news:
            self._turns.append(one)
            self._wake()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Has something computed between two turns."""
        future: Future[T] = Future()
        with self.news:
            self._jobs.append((future, work))
            self._wake()
        return future

    def _wake(self) -> None:
        if not self._runs:
            self._runs = True
            threading.Thread(target=self._run, name="engine", daemon=True).start()
        self.news.notify()

    def _run(self) -> None:
        while self._waited():
            while self._jobs:
                _do(*self._jobs.popleft())
            for one in self._with_work():
                if not one.turn():
                    self._remove(one)

    def _waited(self) -> bool:
        """Waits until there is something to do; False where nothing takes turns any more."""
        with self.news:
            while self._turns and not self._jobs and not any(one.has_work() for one in self._turns):
                self.news.wait()
            self._runs = bool(self._turns or self._jobs)
            return self._runs

    def _with_work(self) -> list[Turns]:
        with self.news:
            return [one for one in self._turns if one.has_work()]

    def _remove(self, one: Turns) -> None:
        with self.news:
            self._turns.remove(one)


ENGINE_THREAD = EngineThread()


async def in_passing(work: Callable[..., T], *arguments: Any) -> T:
    """What it returns, computed in a thread that ends with it, and with it the pool that OpenMP gave it."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="passing")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)
    finally:
        thread.shutdown(wait=False)


def _do(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
