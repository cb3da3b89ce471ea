"""A load client that does no more than read: bytes off sockets, in a process of its own; what they say is read after.

`python -m benchmarks.reading_client` takes its plan on standard input and prints what became of each request.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

WORD = re.compile(rb'"content": "[^"]')  # an event that holds text
TOKENS = re.compile(rb'"completion_tokens": (\d+)')
LIMIT_S = 300


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. at_s: when it is sent, from the beginning; leaves: goes away as soon as there is text."""

    body: dict[str, Any]
    at_s: float = 0.0
    leaves: bool = False


@dataclass(frozen=True, kw_only=True)
class Read:
    """What became of it. Seconds from the beginning: when it was sent, when text came (None: never), when it ended."""

    status: int
    is_whole: bool
    events: int
    tokens: int
    sent_s: float
    first_s: float | None
    ended_s: float


def read_all(port: int, asked: Sequence[Asked], *, at_once: int | None = None) -> list[Read]:
    """Has a process of its own ask, at_once at most (None: each when its time has come), and read the answers."""
    plan = {"port": port, "at_once": at_once or len(asked), "asked": [asdict(one) for one in asked]}
    command = [sys.executable, "-m", "benchmarks.reading_client"]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return [Read(**one) for one in json.loads(done.stdout)]


@dataclass(eq=False)
class _Reading(asyncio.Protocol):
    """One request on a connection of its own."""

    request: bytes
    leaves: bool
    sent_s: float = 0.0
    first_s: float | None = None
    ended_s: float = 0.0
    parts: list[bytes] = field(default_factory=list)
    transport: asyncio.Transport | None = None

    def __post_init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        if self.first_s is None and WORD.search(b"".join(self.parts)):
            self.first_s = time.perf_counter()
            if self.leaves and self.transport:
                self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended_s = time.perf_counter()
        self.ended.set_result(None)

    def told(self, began_s: float) -> Read:
        whole = b"".join(self.parts)
        tokens = TOKENS.search(whole)
        return Read(
            status=int(whole.split(b" ", 2)[1]) if whole else 0,
            is_whole=b"data: [DONE]" in whole,
            events=whole.count(b"data: {"),
            tokens=int(tokens[1]) if tokens else 0,
            sent_s=self.sent_s - began_s,
            first_s=None if self.first_s is None else self.first_s - began_s,
            ended_s=self.ended_s - began_s,
        )


def _request(port: int, body: dict[str, Any]) -> bytes:
    said = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(said)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + said


async def _ask_all(plan: dict[str, Any]) -> list[Read]:
    places, loop = asyncio.Semaphore(plan["at_once"]), asyncio.get_running_loop()
    readings = [_Reading(_request(plan["port"], one["body"]), one["leaves"]) for one in plan["asked"]]
    began_s = time.perf_counter()

    async def ask(reading: _Reading, at_s: float) -> None:
        async with places:
            await asyncio.sleep(began_s + at_s - time.perf_counter())
            reading.sent_s = time.perf_counter()
            await loop.create_connection(lambda: reading, "127.0.0.1", plan["port"])
            await reading.ended

    await asyncio.gather(*(ask(reading, one["at_s"]) for reading, one in zip(readings, plan["asked"], strict=True)))
    return [reading.told(began_s) for reading in readings]


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in asyncio.run(_ask_all(json.load(sys.stdin)))]))
