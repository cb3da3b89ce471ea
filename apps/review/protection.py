"""What every request and answer passes: headers, a limit of the body's size, rate limits. Plain ASGI."""

from collections.abc import Mapping, Sequence

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 100_000
# an answer takes seconds of reading; fifty reviewers behind one address submit 25 a second
OF_A_SESSION = (RateLimitItemPerSecond(20), RateLimitItemPerMinute(600))
OF_AN_ADDRESS = (RateLimitItemPerSecond(200), RateLimitItemPerMinute(6_000))
JOINS_OF_AN_ADDRESS = (RateLimitItemPerMinute(120),)  # fifty people of one office who all begin now
QUESTIONS_OF_A_SESSION = (RateLimitItemPerMinute(12),)  # each is two replies of a model
AGAIN_AFTER_S = 2

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of a form "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Limits:
    """Counts what each session and each address asks for, in this process's memory."""

    def __init__(self) -> None:
        self._limiter: SlidingWindowCounterRateLimiter | None = None  # its store wants a running event loop

    async def allows_session(self, key: str) -> bool:
        return await self._allows(OF_A_SESSION, "session", key)

    async def allows_address(self, address: str) -> bool:
        return await self._allows(OF_AN_ADDRESS, "address", address)

    async def allows_join(self, address: str) -> bool:
        return await self._allows(JOINS_OF_AN_ADDRESS, "join", address)

    async def allows_question(self, key: str) -> bool:
        return await self._allows(QUESTIONS_OF_A_SESSION, "question", key)

    async def _allows(self, limits: Sequence[RateLimitItem], *key: str) -> bool:
        if self._limiter is None:
            self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        for limit in limits:
            if not await self._limiter.hit(limit, *key):
                return False
        return True


class Headers:
    """Sets the headers of safety on every answer; nothing is stored but what names its own time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class AddressLimit:
    """429 to an address that asks for more than fifty reviewers would."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await self.limits.allows_address((scope.get("client") or ("unknown",))[0]):
            await too_many()(scope, receive, send)
            return
        await self.app(scope, receive, send)


class BodyLimit:
    """413 to a body over 100 kB, whether or not its length was told."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            told = f"the request is larger than {MOST_BODY_BYTES // 1000} kB"
            await PlainTextResponse(told, status_code=413, headers={"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, received_again(body, receive), send)


def received_again(body: bytes, receive: Receive) -> Receive:
    """What an application receives whose body was read before it: the body once more, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None where it is too large or the client has gone."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BODY_BYTES or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return body


def too_many() -> PlainTextResponse:
    """What is said to one who asks too often; the page sends again on its own."""
    headers = {"Retry-After": str(AGAIN_AFTER_S)}
    return PlainTextResponse("Too many requests; wait a moment.", status_code=429, headers=headers)
