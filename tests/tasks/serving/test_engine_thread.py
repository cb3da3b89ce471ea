"""The one thread that computes: turns, jobs between them, and its end."""

import asyncio
import threading

import pytest

from model.engine import Step
from model.torch_engine import TorchEngine
from tasks.serving.engine_thread import EngineThread, in_passing
from tasks.serving.loop import Closed, Loop
from tests.tasks.serving.test_loop import MODEL, asked


def here() -> str:
    return threading.current_thread().name


async def tokens(loop: Loop, number: int) -> int:
    return len([token async for token in loop.submit(asked(number))])


class Noting(TorchEngine):
    """An engine that notes which threads its steps were made in; `breaks`: it can't give a slot back."""

    breaks = False

    def step(self) -> list[Step]:
        self.threads_used = {*getattr(self, "threads_used", set()), threading.current_thread()}
        return super().step()

    def leave(self, slot: int) -> None:
        if self.breaks:
            raise RuntimeError("the slot is lost")
        super().leave(slot)


def test_two_engines_take_turns_in_one_thread_which_ends_with_them() -> None:
    thread, engines = EngineThread(), [Noting(MODEL, slots=2) for _ in range(2)]
    loops = [Loop(engine, queue=4, thread=thread) for engine in engines]

    async def both() -> list[int]:
        return list(await asyncio.gather(*(tokens(loop, number) for loop in loops for number in range(3))))

    assert all(asyncio.run(both()))
    (used,) = engines[0].threads_used | engines[1].threads_used
    for loop in loops:
        loop.close()
        assert loop.has_ended
    used.join(30)
    assert not used.is_alive()
    assert thread.submit(here).result(30) == "engine", "it begins again where something is to be done"


def test_an_engine_that_cannot_free_a_slot_takes_no_other_with_it() -> None:
    thread, broken = EngineThread(), Noting(MODEL, slots=2)
    ends, goes_on = Loop(broken, queue=2, thread=thread), Loop(TorchEngine(MODEL, slots=2), queue=2, thread=thread)
    broken.breaks = True

    async def leave_and_ask() -> int:
        ticket = ends.submit(asked(1, max_tokens=100))
        await anext(ticket)
        ticket.cancel()
        while not ends.has_ended:
            await asyncio.sleep(0.01)
        with pytest.raises(Closed):
            ends.submit(asked(2))
        return await tokens(goes_on, 3)

    assert asyncio.run(asyncio.wait_for(leave_and_ask(), 60)) > 0
    for loop in (ends, goes_on):
        loop.close()


def test_a_job_is_done_between_steps_and_its_error_is_told() -> None:
    loop = Loop(TorchEngine(MODEL, slots=1), queue=1, thread=EngineThread())

    def fail() -> None:
        raise ValueError("nothing to weigh")

    async def beside_a_reply() -> tuple[int, str]:
        made, where = await asyncio.gather(tokens(loop, 1), loop.run(here))
        with pytest.raises(ValueError, match="nothing to weigh"):
            await loop.run(fail)
        return made, where

    made, where = asyncio.run(beside_a_reply())
    loop.close()
    assert made > 0
    assert where == "engine"


def test_what_is_done_in_passing_leaves_no_thread() -> None:
    async def names() -> tuple[str, list[str]]:
        inside = await in_passing(here)
        while any(one.name == inside for one in threading.enumerate()):
            await asyncio.sleep(0.01)
        return inside, [one.name for one in threading.enumerate()]

    inside, after = asyncio.run(asyncio.wait_for(names(), 30))
    assert inside.startswith("passing")
    assert inside not in after
