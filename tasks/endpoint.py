"""A server that speaks OpenAI's HTTP API: asked a bounded number of times at once, every reply kept on disk."""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from tasks.stage import UserError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, BadRequestError, OpenAIError, UnprocessableEntityError

log = logging.getLogger(__name__)

MESSAGE_CHARACTERS = 200  # of a server's own words in an error line
BYTES_PER_TOKEN = 4  # an estimate, for servers that report no usage
NOT_FOR_THIS = (400, 413, 422)  # a server's answers that speak of one request, not of its own state
PAUSE_S = 0.25  # before an unreadable answer is asked for again; doubled each time


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked. `n` tells requests of the same words apart: each has a reply of its own.

    endpoint: part of the reply's name; None where the same model would say the same at any address. about: what
    the kept line says of the request in place of its messages. body: more fields of the HTTP request. schema: of
    the JSON that is wanted, sent as `response_format` where the server takes it; the messages ask for the same,
    so it is no part of the name.
    """

    endpoint: str | None
    model: str
    messages: tuple[Mapping[str, str], ...]
    temperature: float | None  # None: the server's own
    max_tokens: int | None  # None: the server's own limit
    n: int
    about: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of all of it but the schema: the reply's name."""
        return hashlib.sha256(json.dumps(self._named(), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def kept(self) -> dict[str, Any]:
        """What stands beside the reply in its file."""
        named = self._named()
        if self.about:
            del named["messages"]
        return named

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the HTTP request, without the schema."""
        wanted = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.body}
        said = {name: value for name, value in wanted.items() if value is not None}
        return {"model": self.model, "messages": [dict(message) for message in self.messages], **said}

    @property
    def settings(self) -> str:
        """All of it that is the same for each request of a run."""
        return _settings(self._named())

    @property
    def most_tokens(self) -> int:
        """About the most that it can cost, prompt and reply."""
        return _tokens(*(message["content"] for message in self.messages)) + (self.max_tokens or 0)

    def _named(self) -> dict[str, Any]:
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "schema"}
        return {name: value for name, value in named.items() if value or name not in ("about", "body")}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. Tokens are as the server counted them, else an estimate.

    refusal: the server's own word for that it will not answer. rejected: what is wrong with the request, by the
    server. is_cut: the limit of tokens ended it.
    """

    text: str
    prompt_tokens: int
    reply_tokens: int
    refusal: str | None = None
    rejected: str | None = None
    is_cut: bool = False

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens


def checked_address(address: str) -> str:
    """An endpoint's address. Raises ValueError where it is none, or holds a secret."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an endpoint's address starts with http:// or https://, as in http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("an endpoint's address holds no name, password or query; the key comes from the environment")
    return address


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in what a model wrote: thoughts, fences and prose around them are passed over.

    Of a text that was cut off, the objects that are whole.
    """
    decoder = json.JSONDecoder(strict=False)  # strict would refuse line ends inside strings
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


class Replies:
    """The replies that are known, by their requests' hashes, and the JSON Lines file where new ones are added.

    file: a line that a killed run left unfinished is cut off. kept: files of the same form that are only read.
    Several processes may add to one file.
    """

    def __init__(self, file: Path, *, kept: Iterable[Path] = ()) -> None:
        self.file = file
        self.answered: set[str] = set()  # the settings of requests that were not rejected
        self._known: dict[str, Reply] = {}
        self._open: BinaryIO | None = None
        for path in kept:
            self._read(path.read_bytes())
        if file.exists():
            self._read(_whole_lines(file))

    def __len__(self) -> int:
        return len(self._known)

    def find(self, request: Request) -> Reply | None:
        """The reply to a request, where it is known."""
        return self._known.get(request.hash)

    def add(self, request: Request, said: Mapping[str, Any]) -> Reply:
        """Appends a reply: from here on neither `kill -9` nor, after `sync`, a power cut loses it."""
        line = {"hash": request.hash, "request": request.kept, **said}
        self._append(json.dumps(line, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace") + b"\n")
        return self._know(line)

    def sync(self) -> None:
        """Has all that was added so far written to the disk itself."""
        if self._open is not None:
            os.fsync(self._open.fileno())

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _read(self, lines: bytes) -> None:
        for line in lines.splitlines():
            try:
                self._know(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                log.warning("a line of the kept replies can't be read; its request is sent again")

    def _know(self, line: Mapping[str, Any]) -> Reply:
        reply = _reply(line)
        if reply.rejected is None:
            self.answered.add(_settings(line["request"]))
        self._known[line["hash"]] = reply
        return reply

    def _append(self, line: bytes) -> None:
        if self._open is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._open = self.file.open("ab", buffering=0)
        fcntl.flock(self._open, fcntl.LOCK_EX)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._open.fileno(), left) :]
        finally:
            fcntl.flock(self._open, fcntl.LOCK_UN)


class Budget:
    """Calls and tokens that may be spent. What a call may cost at most is set aside until it has come back."""

    def __init__(self, *, calls: int | None = None, tokens: int | None = None) -> None:
        self.calls, self.tokens = 0, 0  # spent
        self._limits = calls, tokens
        self._under_way: list[int] = []
        self._changed = asyncio.Condition()

    async def take(self, tokens: int) -> None:
        """Sets a call of so many tokens aside; waits where calls under way may leave room for it.

        Raises UserError where there is none.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: not self._under_way or self._lacks(tokens) is None)
            if lacks := self._lacks(tokens):
                raise UserError(f"the budget of {lacks} is used up")
            self._under_way.append(tokens)

    async def settle(self, tokens: int, *, spent: int) -> None:
        """Puts what a call has cost in place of what was set aside."""
        async with self._changed:
            self._under_way.remove(tokens)
            self.calls += 1
            self.tokens += spent
            self._changed.notify_all()

    def _lacks(self, tokens: int) -> str | None:
        calls_limit, tokens_limit = self._limits
        if calls_limit is not None and self.calls + len(self._under_way) >= calls_limit:
            return f"{calls_limit} calls (budget_calls)"
        if tokens_limit is not None and self.tokens + sum(self._under_way) + tokens > tokens_limit:
            return f"{tokens_limit} tokens (budget_tokens; {self.tokens} spent, the next call may take {tokens})"
        return None


class Endpoint:
    """One server and the file of what it said.

    address: up to and with `/v1`. replies: the file (or the open `Replies`) where each reply is added as it comes;
    a request whose reply stands there is not sent again. key_variable: the environment variable that holds the API
    key; the key itself is never logged and never written. Retries (connection, 408, 409, 429, 5xx, with back-off)
    are the openai client's. keeps_rejections: a request that the server calls bad (400, 413, 422) has a reply that
    says so; without, and where no request is ever good, that ends the run. To be used in a `with` block.
    """

    def __init__(
        self, address: str, *, replies: Path | Replies, key_variable: str, at_once: int, max_retries: int,
        timeout_s: float, budget: Budget | None = None, keeps_rejections: bool = False,
    ) -> None:  # fmt: skip
        self.address = address
        self.asked = 0  # replies that came from the server, not from the file
        self.prompt_tokens, self.reply_tokens = 0, 0  # of those
        self.seconds = 0.0  # spent in asking
        self.replies = replies if isinstance(replies, Replies) else Replies(replies)
        self._key_variable = key_variable
        self._key = os.environ.get(key_variable, "")
        self._at_once = at_once
        self._max_retries = max_retries
        self._timeout_s = timeout_s
        self._budget = budget or Budget()
        self._keeps_rejections = keeps_rejections
        self._takes_schemas: bool | None = None  # None: not known yet
        self._rejected: list[tuple[Request, str]] = []  # before any request was good
        self._is_synced = True
        self._failure: Exception | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._client: AsyncOpenAI | None = None
        self._runner = asyncio.Runner()

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *error: object) -> None:
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()
        self.replies.close()

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies to the requests, in their order; equal ones are sent once.

        Raises UserError where the server gives up on one, or the budget is used up; the replies that came are kept
        all the same.
        """
        missing = {request.hash: request for request in requests if self.replies.find(request) is None}
        if missing:
            started = time.monotonic()
            try:
                self._runner.run(self._ask(deque(missing.values())))
            finally:
                self.seconds += time.monotonic() - started
        found = [self.replies.find(request) for request in requests]
        return [reply for reply in found if reply is not None]

    async def _ask(self, waiting: deque[Request]) -> None:
        client = self._client = self._client or self._new_client()
        self._failure = None
        # a failure stops those that wait; the replies to those under way are still kept
        await asyncio.gather(*(self._work(client, waiting) for _ in range(min(self._at_once, len(waiting)))))
        if self._syncing is not None:
            await self._syncing
        if self._rejected and self._failure is None:
            self._failure = self._told(UserError(self._rejected[0][1]))
        if self._failure is not None:
            raise self._failure

    def _new_client(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            base_url=self.address,
            api_key=self._key or "none",  # the client insists on one; servers of one's own need none
            max_retries=self._max_retries,
            timeout=self._timeout_s,
        )

    async def _work(self, client: "AsyncOpenAI", waiting: deque[Request]) -> None:
        """Asks as long as there is something to ask, and nothing has failed."""
        while waiting and self._failure is None:
            request = waiting.popleft()
            try:
                await self._ask_one(client, request)
            except Exception as error:  # told when those under way have come back
                self._failure = self._failure or self._told(error)

    async def _ask_one(self, client: "AsyncOpenAI", request: Request) -> None:
        from openai import APIStatusError

        set_aside, spent = request.most_tokens, 0
        await self._budget.take(set_aside)
        try:
            said = await self._said(client, request)
            spent = self._keep(request, said).tokens
        except APIStatusError as error:
            if not self._keeps_rejections or error.status_code not in NOT_FOR_THIS:
                raise
            self._reject(request, self._mistake(error))
        finally:
            await self._budget.settle(set_aside, spent=spent)

    async def _said(self, client: "AsyncOpenAI", request: Request) -> dict[str, Any]:
        """What the server says, as the file keeps it; without a schema where it takes none."""
        from openai import BadRequestError, UnprocessableEntityError

        if request.schema is None or self._takes_schemas is False:
            return await self._completion(client, request, schema=None)
        try:
            said = await self._completion(client, request, schema=request.schema)
        except (BadRequestError, UnprocessableEntityError) as error:
            return await self._without_schema(client, request, error)
        self._takes_schemas = True
        return said

    async def _without_schema(
        self, client: "AsyncOpenAI", request: Request, error: "BadRequestError | UnprocessableEntityError"
    ) -> dict[str, Any]:
        if self._takes_schemas:  # it took others: something else is wrong with this one
            raise error
        said = await self._completion(client, request, schema=None)
        if self._takes_schemas is None:
            log.info("%s takes no JSON schema; its replies are checked all the same", self.address)
        self._takes_schemas = False
        return said

    async def _completion(
        self, client: "AsyncOpenAI", request: Request, *, schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """One completion; asked for again where the answer can't be read, as the client does for other faults."""
        body = request.sent
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {**schema, "strict": True}}
        for tried in range(self._max_retries + 1):
            if tried:
                await asyncio.sleep(PAUSE_S * 2 ** (tried - 1))
            # not chat.completions.create, which takes milliseconds to walk through messages and schema
            text = await client.post("/chat/completions", cast_to=str, body=body)
            try:
                return _Completion.model_validate_json(text).said(request)
            except ValidationError:
                continue
        raise UserError(f"{self.address} does not answer as OpenAI's API does, {self._tries()}: is '/v1' missing?")

    def _keep(self, request: Request, said: dict[str, Any]) -> Reply:
        if self._key:
            said["reply"] = said["reply"].replace(self._key, "[key]")
        reply = self._add(request, said)
        self.asked += 1
        self.prompt_tokens += reply.prompt_tokens
        self.reply_tokens += reply.reply_tokens
        while self._rejected:  # the server can be asked; so it was those requests that it could not take
            self._add_rejected(*self._rejected.pop())
        return reply

    def _reject(self, request: Request, mistake: str) -> None:
        """Keeps a rejection, once a request with these settings was good; until then the settings may be at fault."""
        if request.settings in self.replies.answered:
            self._add_rejected(request, mistake)
            return
        self._rejected.append((request, mistake))
        if len(self._rejected) >= self._at_once:
            raise UserError(mistake)

    def _add_rejected(self, request: Request, mistake: str) -> None:
        self._add(request, {"reply": "", "usage": {"prompt_tokens": 0, "completion_tokens": 0}, "rejected": mistake})

    def _add(self, request: Request, said: dict[str, Any]) -> Reply:
        reply = self.replies.add(request, said)
        self._is_synced = False
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync())
        return reply

    async def _sync(self) -> None:
        """Syncs beside the asking: what comes meanwhile goes with the next turn."""
        while not self._is_synced:
            self._is_synced = True
            await asyncio.to_thread(self.replies.sync)

    def _told(self, error: Exception) -> Exception:
        """As the user is told of it; what is no mistake of the user's or the server's stays as it is."""
        from openai import OpenAIError

        if not isinstance(error, OpenAIError | UserError):
            return error
        mistake = self._mistake(error) if isinstance(error, OpenAIError) else str(error)
        kept = f"{len(self.replies)} replies are kept in {self.replies.file}"
        return UserError(f"{mistake}; {kept}, run again to go on from there")

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
            return f"{self.address} can't be reached, {self._tries()}: {self._quoted(str(error.__cause__ or error))}"
        retried = f", {self._tries()}" if error.status_code in (408, 409, 429) or error.status_code >= 500 else ""
        return f"{self.address} answers {error.status_code}{retried}: {self._quoted(_message(error))}"

    def _tries(self) -> str:
        return f"{self._max_retries + 1} times" if self._max_retries else "once"

    def _quoted(self, message: str) -> str:
        line = " ".join(message.split())
        line = line.replace(self._key, "[key]") if self._key else line
        return line if len(line) <= MESSAGE_CHARACTERS else f"{line[:MESSAGE_CHARACTERS]}..."


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Completion(BaseModel):
    """As much as is used of what the API answers."""

    choices: list[_Choice]
    usage: Any = None
    model: str | None = None

    def said(self, request: Request) -> dict[str, Any]:
        """What the file of replies keeps of it."""
        choice = self.choices[0] if self.choices else _Choice(message=_Message())
        text = choice.message.content or ""
        try:
            usage = _Usage.model_validate(self.usage).model_dump()
        except ValidationError:
            asked = _tokens(*(message["content"] for message in request.messages))
            usage = {"prompt_tokens": asked, "completion_tokens": _tokens(text), "is_estimate": True}
        more = {"finish_reason": choice.finish_reason, "refusal": choice.message.refusal, "served_by": self.model}
        return {"reply": text, "usage": usage, **{name: value for name, value in more.items() if value}}


def _message(error: "APIStatusError") -> str:
    """The server's own words: the message in the body, or the body."""
    body = error.body.get("error", error.body) if isinstance(error.body, dict) else error.body
    message = body.get("message", body) if isinstance(body, dict) else body
    return str(message or "no more is said")


def _whole_lines(path: Path) -> bytes:
    """The file's lines. One that a killed run left unfinished is cut off."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # nobody is in the middle of a line
        lines = file.read()
        whole = lines.rfind(b"\n") + 1
        if whole < len(lines):
            file.truncate(whole)
    return lines[:whole]


def _reply(line: Mapping[str, Any]) -> Reply:
    usage = line["usage"] or {
        "prompt_tokens": _tokens(*(message["content"] for message in line["request"]["messages"])),
        "completion_tokens": _tokens(line["reply"]),
    }
    return Reply(
        text=line["reply"],
        prompt_tokens=int(usage["prompt_tokens"]),
        reply_tokens=int(usage["completion_tokens"]),
        refusal=line.get("refusal") or (line.get("finish_reason") == "content_filter" and "content filter") or None,
        rejected=line.get("rejected"),
        is_cut=line.get("finish_reason") == "length",
    )


def _settings(request: Mapping[str, Any]) -> str:
    settings = [request["model"], request["temperature"], request["max_tokens"], request.get("body", {})]
    return json.dumps(settings, sort_keys=True)


def _tokens(*texts: str) -> int:
    return -(-sum(len(text.encode("utf-8", "replace")) for text in texts) // BYTES_PER_TOKEN)
