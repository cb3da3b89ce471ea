"""What the routes work with: the versions, the guard, the figures, and the record of replies."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from apps.serve.metrics import Metrics
from apps.serve.openai_errors import ApiError, failed, not_ready, too_busy, too_slow
from apps.serve.settings import Settings
from tasks.serving.answering import Answer, NotTaught, TooLong, Wish
from tasks.serving.fleet import Fleet, NotReady, Unknown
from tasks.serving.guard import Guard
from tasks.serving.loop import Closed, EngineFailed, Full
from tasks.serving.params import ServeParams
from tasks.serving.record import Record
from tasks.stage import UserError


@dataclass(kw_only=True)
class Service:
    """One server's."""

    settings: Settings
    params: ServeParams
    fleet: Fleet
    guard: Guard
    metrics: Metrics
    record: Record
    failure: UserError | None = None  # why no model could be loaded
    ends: Callable[[], None] = lambda: None  # has the server end
    _beside: set[asyncio.Task[None]] = field(default_factory=set)

    async def begin(self, model: str, wish: Wish) -> Answer:
        """A reply that can be made, nothing of it is yet. Raises ApiError."""
        with _told_as_errors(self.params.time_limit_s):
            live, share = self.fleet.pick(model, wish.conversation or secrets.token_hex(8))
            answer = Answer(wish, live, self.guard, share=share, params=self.params)
            await answer.begin()
            return answer

    async def pieces(self, answer: Answer) -> AsyncGenerator[str, None]:
        """The reply's text within the time limit; at its end it is counted and recorded. Raises ApiError."""
        began, ended = time.monotonic(), "cancelled"
        try:
            with answer.live, _told_as_errors(self.params.time_limit_s):
                async with contextlib.aclosing(answer.pieces()) as pieces:
                    async for piece in pieces:
                        yield piece
            ended = answer.finish or "error"
        except ApiError as error:
            ended = error.code or "error"
            raise
        finally:
            self.metrics.replied(answer, ended=ended, seconds=time.monotonic() - began)
            if answer.finish or answer.text:  # something was said
                self.record.write(answer.reply())

    def fail(self, error: UserError) -> None:
        """No model could be loaded: the server ends, and says why."""
        self.failure = error
        self.ends()

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Has something done beside the requests."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def settle(self) -> None:
        """Waits for what is done beside the requests."""
        await asyncio.gather(*self._beside, return_exceptions=True)


def service_of(request: Request) -> Service:
    """The service of the application that was asked."""
    service: Service = request.app.state.service
    return service


@contextlib.contextmanager
def _told_as_errors(limit_s: float) -> Iterator[None]:
    """What keeps a reply from being made, as the API tells it."""
    try:
        yield
    except NotReady:
        raise not_ready() from None
    except Unknown as error:
        raise ApiError(404, str(error), param="model", code="model_not_found") from None
    except TooLong as error:
        raise ApiError(400, str(error), param="messages", code="context_length_exceeded") from None
    except NotTaught as error:
        raise ApiError(400, str(error), param="model", code="unsupported") from None
    except (Full, Closed):
        raise too_busy() from None
    except EngineFailed as error:
        raise failed(str(error)) from None
    except TimeoutError:
        raise too_slow(limit_s) from None
