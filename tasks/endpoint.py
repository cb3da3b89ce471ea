"""A server that speaks OpenAI's HTTP API: asked a bounded number of times at once, every reply kept on disk."""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.stage import UserError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

log = logging.getLogger(__name__)

MESSAGE_CHARACTERS = 200  # of a server's own words in an error line
BYTES_PER_TOKEN = 4  # an estimate, for servers that report no usage


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked. `n` tells requests of the same words apart: each has a reply of its own."""

    endpoint: str
    model: str
    messages: tuple[Mapping[str, str], ...]
    temperature: float
    max_tokens: int
    n: int

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of all of it: the reply's name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. tokens: of prompt and reply, as the server counted them, else an estimate."""

    text: str
    tokens: int


def checked_address(address: str) -> str:
    """An endpoint's address. Raises ValueError where it is none, or holds a secret."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an endpoint's address starts with http:// or https://, as in http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("an endpoint's address holds no name, password or query; the key comes from the environment")
    return address


class Endpoint:
    """One server and the file of what it said.

    address: up to and with `/v1`. replies: a JSON Lines file, a line for each reply with its request, written
    as it comes; a request whose reply stands there is not sent again. key_variable: the environment variable
    that holds the API key; the key itself is never logged and never written. Retries (connection, 408, 409,
    429, 5xx, with back-off) are the openai client's. To be used in a `with` block, which closes its connections.
    """

    def __init__(
        self, address: str, *, replies: Path, key_variable: str, at_once: int, max_retries: int, timeout_s: float
    ) -> None:
        self.address = address
        self.asked = 0  # replies that came from the server, not from the file
        self._file = replies
        self._key_variable = key_variable
        self._key = os.environ.get(key_variable, "")
        self._at_once = at_once
        self._max_retries = max_retries
        self._timeout_s = timeout_s
        self._known = _read_replies(replies)
        self._gave_up = False
        self._client: AsyncOpenAI | None = None
        self._runner = asyncio.Runner()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *error: object) -> None:
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies to the requests, in their order.

        Raises UserError where the server gives up on one; the replies that came are kept all the same.
        """
        missing = [request for request in requests if request.hash not in self._known]
        if missing:
            self._runner.run(self._ask(missing))
        return [self._known[request.hash] for request in requests]

    async def _ask(self, requests: Sequence[Request]) -> None:
        client = self._client = self._client or self._new_client()
        slots = asyncio.Semaphore(self._at_once)
        # a failure stops those that wait; the replies to those under way are still kept
        asked = (self._ask_one(client, request, slots) for request in requests)
        results = await asyncio.gather(*asked, return_exceptions=True)
        failed = next((result for result in results if result is not None), None)
        if failed is not None:
            raise failed from None

    def _new_client(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            base_url=self.address,
            api_key=self._key or "none",  # the client insists on one; servers of one's own need none
            max_retries=self._max_retries,
            timeout=self._timeout_s,
        )

    async def _ask_one(self, client: "AsyncOpenAI", request: Request, slots: asyncio.Semaphore) -> None:
        from openai import OpenAIError

        async with slots:
            if self._gave_up:
                return
            try:
                completion = await client.chat.completions.create(
                    model=request.model,
                    messages=[dict(message) for message in request.messages],  # type: ignore[misc]
                    temperature=request.temperature,
                    max_tokens=request.max_tokens,
                )
                self._keep(request, completion)
            except OpenAIError as error:
                self._gave_up = True
                raise UserError(f"{self._mistake(error)}; {self._what_was_kept()}") from None
            except UserError:
                self._gave_up = True
                raise

    def _keep(self, request: Request, completion: object) -> None:
        from openai.types.chat import ChatCompletion

        if not isinstance(completion, ChatCompletion) or completion.choices is None:
            raise UserError(f"{self.address} does not answer as OpenAI's API does; is '/v1' missing at its end?")
        text = (completion.choices[0].message.content if completion.choices else None) or ""
        usage = completion.usage.model_dump(mode="json") if completion.usage else None
        line = {"hash": request.hash, "request": asdict(request), "reply": text, "usage": usage}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._known[request.hash] = _reply(line)
        self.asked += 1

    def _mistake(self, error: "OpenAIError") -> str:
        """What went wrong, in one line, without the key (some servers repeat it)."""
        from openai import APIStatusError, APITimeoutError, AuthenticationError

        if isinstance(error, AuthenticationError):
            state = "is refused" if self._key else "is not set"
            return (
                f"{self.address} wants an API key, and the one in the environment variable {self._key_variable} {state}"
            )
        if isinstance(error, APITimeoutError):
            return f"{self.address} gave no reply within {self._timeout_s:g} s, {self._tries()}"
        if not isinstance(error, APIStatusError):
            return f"{self.address} can't be reached, {self._tries()}: {self._said(str(error.__cause__ or error))}"
        retried = f", {self._tries()}" if error.status_code in (408, 409, 429) or error.status_code >= 500 else ""
        return f"{self.address} answers {error.status_code}{retried}: {self._said(_message(error))}"

    def _tries(self) -> str:
        return f"{self._max_retries + 1} times" if self._max_retries else "once"

    def _said(self, message: str) -> str:
        line = " ".join(message.split())
        line = line.replace(self._key, "[key]") if self._key else line
        return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:MESSAGE_CHARACTERS]}..."

    def _what_was_kept(self) -> str:
        return f"{len(self._known)} replies are kept in {self._file}, run again to go on from there"


def _message(error: "APIStatusError") -> str:
    """The server's own words: the message in the body, or the body."""
    body = error.body.get("error", error.body) if isinstance(error.body, dict) else error.body
    message = body.get("message", body) if isinstance(body, dict) else body
    return str(message or "no more is said")


def _read_replies(path: Path) -> dict[str, Reply]:
    """The replies in the file. A line that a killed run left unfinished is cut off."""
    if not path.exists():
        return {}
    known: dict[str, Reply] = {}
    whole = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                whole += len(line)
                _add_reply(known, line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return known


def _add_reply(known: dict[str, Reply], line: bytes) -> None:
    try:
        values = json.loads(line)
        known[values["hash"]] = _reply(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("a line of the kept replies can't be read; its request is sent again")


def _reply(line: Mapping[str, Any]) -> Reply:
    usage = line["usage"] or {}
    asked = sum(len(message["content"].encode()) for message in line["request"]["messages"])
    estimate = -(-(asked + len(line["reply"].encode())) // BYTES_PER_TOKEN)
    return Reply(text=line["reply"], tokens=int(usage.get("total_tokens") or estimate))
