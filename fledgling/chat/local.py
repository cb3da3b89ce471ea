"""Talking with a model of this machine: what the server does with a request, without the server."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from fledgling.chat.talk import Manner, Refused
from tasks.stage import load_params

if TYPE_CHECKING:
    from tasks.serving.guard import Guard
    from tasks.serving.live import Live
    from tasks.serving.params import ServeParams

ONE = {"slots": 1, "queue": 0}  # person


@contextmanager
def local(model: str | None, manner: Manner) -> "Iterator[Local]":
    """A model of the registry, of a folder, or the workspace's newest. Raises UserError where there is none."""
    from fledgling.generate import newest_model
    from tasks.cleaning.safety import safety_policy
    from tasks.serving import versions
    from tasks.serving.guard import Guard
    from tasks.serving.live import load
    from tasks.serving.params import ServeParams

    params = load_params(ServeParams, "serve").model_copy(update=ONE)
    live = load(versions.find(model or str(newest_model())), params)
    try:
        with asyncio.Runner() as runner:
            yield Local(live, Guard(params.guard, safety_policy()), params, manner, runner)
    finally:
        live.loop.close()


class Local:
    """See `fledgling.chat.talk.Speaker`."""

    def __init__(
        self, live: "Live", guard: "Guard", params: "ServeParams", manner: Manner, runner: asyncio.Runner
    ) -> None:
        self.name = live.served.told
        self._live, self._guard, self._params = live, guard, params
        self._manner, self._runner = manner, runner

    def reply(self, messages: list[dict[str, str]], *, again: int) -> Generator[str]:
        from tasks.serving.answering import NotTaught, TooLong
        from tasks.serving.loop import EngineFailed

        pieces = self._pieces(messages, seed=self._manner.seed_of(again))
        try:
            while (piece := self._runner.run(_next(pieces))) is not None:
                yield piece
        except (TooLong, NotTaught, EngineFailed) as error:
            raise Refused(str(error)) from None
        except TimeoutError:
            raise Refused(f"the answer was not made in {self._params.time_limit_s:g} s") from None
        finally:
            self._runner.run(_end(pieces))

    async def _pieces(self, messages: list[dict[str, str]], *, seed: int | None) -> AsyncGenerator[str]:
        from tasks.serving.answering import Answer, Wish
        from tasks.serving.sampling import Sampling

        sampling = Sampling(temperature=self._manner.temperature, max_tokens=self._manner.max_tokens, seed=seed)
        wish = Wish(kind="chat", messages=tuple(messages), sampling=sampling, streamed=True)
        answer = Answer(wish, self._live, self._guard, share="champion", params=self._params)
        await answer.begin()
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                yield piece


async def _next(pieces: AsyncGenerator[str]) -> str | None:
    return await anext(pieces, None)


async def _end(pieces: AsyncGenerator[str]) -> None:
    await pieces.aclose()
