"""What every request passes before it is read: which host is meant, who asks, how large its body is. Plain ASGI."""

import base64
import binascii
import hmac
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.review.protection import received_again
from apps.review.settings import is_loopback
from apps.serve.openai_errors import ApiError

KEPT_TO_KEYS = ("/v1/", "/admin/", "/feedback/", "/metrics")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}


class Protection:
    """keys: none: only pages of this server, and programs, on this machine may ask. count: is told each error."""

    def __init__(
        self, app: ASGIApp, *, keys: tuple[str, ...], most_body_bytes: int, count: Callable[[int], None]
    ) -> None:
        self.app = app
        self._count = count
        self._keys = [key.encode() for key in keys]
        self._most = most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._watched(send)
        try:
            self._check(Headers(scope=scope), scope["path"], scope["method"])
            body = None if scope["method"] in ("GET", "HEAD") else await self._body(receive)
        except ApiError as error:
            await error.response(scope, receive, send)
            return
        await self.app(scope, receive if body is None else received_again(body, receive), send)

    def _watched(self, send: Send) -> Send:
        """Sets the headers of safety on what is sent, and counts errors."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if message["status"] >= 400:
                    self._count(message["status"])
            await send(message)

        return watched

    def _check(self, headers: Headers, path: str, method: str) -> None:
        """Raises ApiError for who may not ask."""
        if self._keys:
            if path.startswith(KEPT_TO_KEYS) and not self._knows(headers.get("authorization", "")):
                raise ApiError(401, "no key, or one that is not valid", code="invalid_api_key")
            return
        host = headers.get("host", "")
        if not is_loopback(_name(host)):
            raise ApiError(403, f"host '{host}' is not this machine's own", kind="permission_error", code="host")
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin is not None and origin.partition("://")[2] != host:
            raise ApiError(403, "this request came from another site", kind="permission_error", code="origin")

    def _knows(self, authorization: str) -> bool:
        """Whether a key is there, as Bearer or as the password of Basic: an address may hold that."""
        kind, _, given = authorization.partition(" ")
        told = given.strip().encode("utf-8", "replace")
        if kind.lower() == "basic":
            try:
                told = base64.b64decode(told, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif kind.lower() != "bearer":
            return False
        return sum(hmac.compare_digest(told, key) for key in self._keys) > 0  # all of them, whichever it is

    async def _body(self, receive: Receive) -> bytes:
        """The whole body. Raises ApiError where it is too large."""
        parts, size = [], 0
        while True:
            message = await receive()
            part = bytes(message.get("body", b""))
            parts.append(part)
            size += len(part)
            if size > self._most:
                raise ApiError(
                    413,
                    f"the body is larger than {self._most} bytes",
                    code="too_large",
                    headers={"Connection": "close"},
                )
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return b"".join(parts)


def _name(host: str) -> str:
    """A Host header without its port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
