"""How busy the judge behind an endpoint keeps a server that takes 50 ms a reply."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.row import Row

ROUNDS = 3
ANSWERS = 640  # 2 s of work for the server
AT_ONCE = 16
REPLY_S = 0.05
LEAST_BUSY_PERCENT = 80.0
RUBRIC = Path("rubric.yaml")


def endpoint_judge_busy_share() -> Row:
    """Median busy share (%) of a local server with 16 in flight, by the judge and by a bare httpx loop.

    The share of 16 requests that are under way in the server, from the first to the last; the same bodies in both,
    rounds interleaved. The bar is the one at which the judge keeps the server 80 % busy.
    """
    ours, bare = [], []
    with _serving() as root:
        for number in range(ROUNDS):
            bodies = _judge_all(root, number)
            ours.append(_busy_percent(root))
            asyncio.run(_post_all(root, bodies))
            bare.append(_busy_percent(root))
    peer_value = round(statistics.median(bare), 2)
    return Row(
        name="endpoint_judge_busy_share",
        unit="%",
        value=round(statistics.median(ours), 2),
        peer="a bare asyncio and httpx loop",
        peer_value=peer_value,
        bar=round(LEAST_BUSY_PERCENT / peer_value, 3),
        lower_is_better=False,
    )


def _judge_all(root: str, number: int) -> list[dict[str, Any]]:
    """Has every answer scored by a judge that knows no reply yet; returns what it sent."""
    from tasks.judging.endpoint import EndpointJudgeParams, open_endpoint_judge
    from tasks.judging.records import Item
    from tasks.judging.rubric import load_rubric

    params = EndpointJudgeParams(
        name="endpoint", address=f"{root}/v1", model="none", key_variable="NO_KEY", temperature=0.0, max_tokens=1000,
        body={}, text_characters=8_000, repairs=0, rank_orders=2, requests_at_once=AT_ONCE, max_retries=0,
        timeout_s=60.0, budget_calls=None, budget_tokens=None, price_per_million_prompt_tokens=None,
        price_per_million_reply_tokens=None,
    )  # fmt: skip
    story = "Once there was a cat. It had a red hat, and it lost the hat. A friend found it. They were glad. "
    items = [
        Item(
            prompt_id=str(at),
            kind="story",
            prompt=f"Write a story, the {at}th.",
            answer=f"{story * 8}{number}.",
            by="x",
        )
        for at in range(ANSWERS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with open_endpoint_judge(params, verdicts=state / "none", state=state) as judge:
            records = judge.score(items, load_rubric(RUBRIC))
    assert all(record.status == "ok" for record in records)
    return [dict(body) for body in _get(f"{root}/bodies")]


async def _post_all(root: str, bodies: Sequence[dict[str, Any]]) -> None:
    import httpx

    waiting = list(bodies)
    async with httpx.AsyncClient(timeout=60.0) as client:

        async def work() -> None:
            while waiting:
                reply = await client.post(f"{root}/v1/chat/completions", json=waiting.pop())
                json.loads(reply.json()["choices"][0]["message"]["content"])

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _busy_percent(root: str) -> float:
    return 100 * float(_get(f"{root}/busy"))


def _get(address: str) -> Any:
    with urllib.request.urlopen(address) as reply:  # noqa: S310
        return json.loads(reply.read())


@contextmanager
def _serving() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.judging_endpoint"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


class _Server:
    """Answers every request after 50 ms with the same verdict, and measures how much was under way."""

    def __init__(self) -> None:
        from tasks.judging.rubric import load_rubric

        levels = {axis: {"reason": "It is a simple story.", "level": 4} for axis in load_rubric(RUBRIC).story}
        message = {"role": "assistant", "content": json.dumps(levels)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}
        self._reply = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "none",
                                  "choices": [choice], "usage": usage}).encode()  # fmt: skip
        self._bodies: list[bytes] = []
        self._spans: list[tuple[float, float]] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1]
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                said = await self._said(path, body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(said))
                writer.write(b"\r\n" + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _said(self, path: bytes, body: bytes) -> bytes:
        if path == b"/bodies":
            return b"[" + b",".join(self._bodies) + b"]"
        if path == b"/busy":
            return self._busy()
        started = time.perf_counter()
        self._bodies.append(body)
        await asyncio.sleep(REPLY_S)
        self._spans.append((started, time.perf_counter()))
        return self._reply

    def _busy(self) -> bytes:
        """The share since the last time; what was asked is forgotten."""
        spans = self._spans
        whole = max(end for _, end in spans) - min(start for start, _ in spans)
        share = sum(end - start for start, end in spans) / (AT_ONCE * whole)
        self._bodies, self._spans = [], []
        return json.dumps(share).encode()


async def _serve() -> None:
    server = await asyncio.start_server(_Server().connected, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
