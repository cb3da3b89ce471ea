"""The loop with a real engine: who joins, who leaves, what happens where the engine fails."""

import asyncio
from collections.abc import Iterator

import pytest

from model.engine import Continuation, Engine, Step
from model.generation import Decoding, generate
from model.torch_engine import TorchEngine
from tasks.serving.loop import Closed, EngineFailed, Full, Loop
from tests.tasks.small import decoder

MODEL = decoder()


def asked(number: int, *, max_tokens: int = 12) -> Continuation:
    decoding = Decoding(max_tokens=max_tokens, temperature=0.8)
    return Continuation(prompt=tuple(range(5, 8 + number)), decoding=decoding, seed=number)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(TorchEngine(MODEL, slots=3), queue=20)
    yield made
    made.close()


def test_each_gets_its_own_tokens_whoever_is_beside_it(loop: Loop) -> None:
    wanted = [asked(number) for number in range(10)]

    async def all_of_them() -> list[list[int]]:
        tickets = [loop.submit(one) for one in wanted]
        return list(await asyncio.gather(*(_tokens(ticket) for ticket in tickets)))

    said = asyncio.run(all_of_them())
    for one, tokens in zip(wanted, said, strict=True):
        assert [tokens] == generate(MODEL, [one.prompt], decoding=one.decoding, seeds=[one.seed])
    assert loop.figures.tokens == sum(map(len, said))
    assert (loop.figures.live, loop.figures.waiting) == (0, 0)


def test_what_comes_between_the_first_and_the_last_token_is_told_together() -> None:
    loop, wanted = Loop(TorchEngine(MODEL, slots=2), queue=2, tell_s=600.0), asked(1)

    async def parts() -> list[list[int]]:
        ticket = loop.submit(wanted)
        found = []
        while tokens := await ticket.more():
            found.append(tokens)
        return found

    found = asyncio.run(parts())
    loop.close()
    assert len(found) <= 2, "the first one, and all others with the last"
    said = [token for tokens in found for token in tokens]
    assert [said] == generate(MODEL, [wanted.prompt], decoding=wanted.decoding, seeds=[wanted.seed])


def test_one_that_is_cancelled_makes_room(loop: Loop) -> None:
    async def leave_some() -> int:
        tickets = [loop.submit(asked(number, max_tokens=100)) for number in range(9)]
        for ticket in tickets[:8]:
            ticket.cancel()
            assert await _tokens(ticket) == []
        return len(await _tokens(tickets[8]))

    assert asyncio.run(leave_some()) > 0


def test_more_than_slots_and_queue_hold_are_refused() -> None:
    loop = Loop(TorchEngine(MODEL, slots=1), queue=1)

    async def fill() -> None:
        tickets = [loop.submit(asked(number, max_tokens=110)) for number in range(2)]
        with pytest.raises(Full):
            loop.submit(asked(3))
        for ticket in tickets:
            ticket.cancel()

    asyncio.run(fill())
    loop.close()

    async def late() -> None:
        loop.submit(asked(1))

    with pytest.raises(Closed):
        asyncio.run(late())


def test_closing_waits_for_what_is_on_its_way() -> None:
    loop = Loop(TorchEngine(MODEL, slots=2), queue=4)

    async def close_at_once() -> list[list[int]]:
        tickets = [loop.submit(asked(number)) for number in range(5)]
        closing = asyncio.create_task(asyncio.to_thread(loop.close))
        told = await asyncio.gather(*(_tokens(ticket) for ticket in tickets))
        await closing
        return list(told)

    assert all(asyncio.run(close_at_once()))


def test_what_does_not_fit_fails_alone(loop: Loop) -> None:
    async def both() -> list[int]:
        wrong, right = loop.submit(asked(1, max_tokens=1_000)), loop.submit(asked(2))
        with pytest.raises(EngineFailed, match="context"):
            await _tokens(wrong)
        return await _tokens(right)

    assert asyncio.run(both())


class Failing(TorchEngine):
    """An engine whose second step fails, once."""

    steps = 0

    def step(self) -> list[Step]:
        self.steps += 1
        if self.steps == 2:
            raise RuntimeError("out of memory\nand more lines")
        return super().step()


def test_an_engine_that_fails_costs_what_it_made_and_goes_on() -> None:
    engine: Engine = Failing(MODEL, slots=2)
    loop = Loop(engine, queue=2)

    async def twice() -> list[int]:
        with pytest.raises(EngineFailed, match=r"^out of memory$"):
            await _tokens(loop.submit(asked(1)))
        return await _tokens(loop.submit(asked(2)))

    assert len(asyncio.run(twice())) > 1
    loop.close()


class Refusing(TorchEngine):
    """An engine whose first join fails."""

    joins = 0

    def join(self, asked: Continuation) -> int:
        self.joins += 1
        if self.joins == 1:
            raise RuntimeError("out of memory")
        return super().join(asked)


def test_one_that_cannot_join_fails_alone() -> None:
    loop = Loop(Refusing(MODEL, slots=1), queue=2)

    async def twice() -> list[int]:
        with pytest.raises(EngineFailed, match="out of memory"):
            await _tokens(loop.submit(asked(1)))
        return await _tokens(loop.submit(asked(2)))

    assert len(asyncio.run(twice())) > 1
    loop.close()


async def _tokens(ticket: "asyncio.Future[int] | object") -> list[int]:
    return [token async for token in ticket]  # type: ignore[attr-defined]
