"""The one thread that computes: turns, jobs between them, and its end."""

import asyncio
import threading

import pytest

from model.torch_engine import TorchEngine
from tasks.serving.engine_thread import EngineThread, in_passing
from tasks.serving.loop import Loop
from tests.tasks.serving.test_loop import MODEL, asked


def here() -> str:
    return threading.current_thread().name


async def tokens(loop: Loop, number: int) -> int:
    return len([token async for token in loop.submit(asked(number))])


def test_two_engines_take_turns_in_one_thread_which_ends_with_them() -> None:
    thread = EngineThread()
    loops = [Loop(TorchEngine(MODEL, slots=2), queue=4, thread=thread) for _ in range(2)]

    async def both() -> list[int]:
        return list(await asyncio.gather(*(tokens(loop, number) for loop in loops for number in range(3))))

    before = {one for one in threading.enumerate() if one.name == "engine"}
    assert all(asyncio.run(both()))
    assert {one for one in threading.enumerate() if one.name == "engine"} == before
    for loop in loops:
        loop.close()
        assert loop.has_ended
    assert thread.submit(here).result(30) == "engine", "it begins again where something is to be done"


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
