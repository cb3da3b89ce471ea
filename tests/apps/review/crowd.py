"""Simulated reviewers over real HTTP: each a browser of their own that remembers what the page said it has stored.

They read the page as it is sent. What they know an answer by is the mark at the end of its text, the generation's id:
so what they meant can be compared with what the database has, whichever side it was shown on.
"""

import asyncio
import contextlib
import html
import json
import math
import os
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

AGAIN_AFTER_S = 0.2  # the page itself waits longer from time to time
PATIENCE_S = 60
SEND_AGAIN = (429, 500, 502, 503, 504)
WAYS = ("its reply is lost", "sent twice at once", "sent again later")
NO_CONNECTION = "no connection"
SKIP_SHARE, UNDO_SHARE = 0.03, 0.05
REASON = {"reason": "unclear"}

CARD = re.compile(r'<template data-assignment="(\d+)">(.*?)</template>', re.DOTALL)
KIND = re.compile(r'data-kind="(\w+)"')
MARK = re.compile(r"@([\w/-]+)@")
AXIS = re.compile(r'data-axis="(\w+)"')
NEXT = re.compile(r'id="next"[^>]* data-order="([\d ]*)" data-undoable="(\d+)" data-told="([^"]*)"')
CSRF = re.compile(r'"X-CSRF-Token": "(\w+)"')
VERSION = re.compile(r'data-version="(\w+)"')

Values = dict[str, Any]
Post = Callable[..., Awaitable[httpx.Response]]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A card on the screen. answers: generation ids, left to right."""

    assignment: int
    kind: str
    answers: tuple[str, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What the page said it has of a reader. assignment, decision: not of an undo."""

    reader: str
    action: str
    assignment: int | None = None
    decision: Values = field(default_factory=dict)


class Reader:
    """A reviewer with a browser; as a context, joined by the link and at the desk.

    stored: what they were told is stored, by nonce; seconds: how long each took; heard, refused: what else they were
    told; told: the line above the card. resend_share: of what they send, as often as that it is sent more than once.
    """

    def __init__(self, name: str, link: str, *, seed: int, resend_share: float = 0.0) -> None:
        self.name = name
        self.stored: dict[str, Stored] = {}
        self.seconds: list[float] = []
        self.heard: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.resent = self.undoable = 0
        self.told = self._version = ""
        self._link = httpx.URL(link)
        self._draw = random.Random(seed)  # noqa: S311
        self._resend_share = resend_share
        self._cards: dict[int, Seen] = {}
        self._order: list[int] = []
        self._last_action = ""
        page = f"{self._link.scheme}://{self._link.netloc.decode()}"
        self._browser = httpx.AsyncClient(base_url=page, headers={"Origin": page}, timeout=PATIENCE_S)

    async def __aenter__(self) -> "Reader":
        await self.join()
        await self.load()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browser.aclose()

    def elsewhere(self) -> "Reader":
        """The same person in a second browser."""
        return Reader(self.name, str(self._link), seed=self._draw.randrange(2**31))

    async def join(self) -> None:
        """Follows the link, each from an address of their own: one address may join only so often a minute."""
        own = f"127.0.{self._draw.randrange(1, 255)}.{self._draw.randrange(1, 255)}"
        transport = httpx.AsyncHTTPTransport(local_address=own)
        page = self._browser.base_url
        async with httpx.AsyncClient(transport=transport, base_url=page, timeout=PATIENCE_S) as browser:
            assert (await browser.get(self._link)).status_code == 200
            joined = await browser.post("/join", data={"token": self._link.params["token"]})
            assert joined.status_code == 303, joined.text
            self._browser.cookies = browser.cookies

    async def load(self) -> None:
        """Opens the desk, or loads it again."""
        page = await self._patiently(lambda: self._browser.get("/"))
        assert page.status_code == 200, page.text
        self._cards = {}
        self._browser.headers["X-CSRF-Token"] = _found(CSRF, page.text)[0]
        self._version = _found(VERSION, page.text)[0]
        self._look(page.text)

    @property
    def card(self) -> Seen | None:
        """The card on the screen; None where nothing is left."""
        return self._cards[self._order[0]] if self._order else None

    async def look_again(self) -> None:
        """Asks for cards where there were none."""
        await self._send("/cards", {})

    async def something(self) -> None:
        """Mostly an answer; now and then a card is left out or taken back."""
        drawn = self._draw.random()
        if drawn < SKIP_SHARE:
            await self.skip()
        elif drawn < SKIP_SHARE + UNDO_SHARE and self._last_action == "answer":
            await self.undo()
        else:
            await self.answer()

    async def answer(self) -> None:
        """Decides on the card, and goes on when that is stored."""
        assert self.card is not None
        said, decision = decide(self.card, self._draw)
        await self._keep("/answers", self._of(self.card, said), self._meant("answer", decision))

    async def skip(self) -> None:
        """Leaves the card out."""
        assert self.card is not None
        await self._keep("/skips", self._of(self.card, REASON), self._meant("skip", REASON))

    async def undo(self) -> None:
        """Takes the last one back."""
        await self._keep("/undo", {}, Stored(reader=self.name, action="undo"))

    def _meant(self, action: str, decision: Values) -> Stored:
        assert self.card is not None
        return Stored(reader=self.name, action=action, assignment=self.card.assignment, decision=decision)

    def _of(self, seen: Seen, said: Values) -> Values:
        milliseconds = self._draw.randrange(1_000, 60_000)
        return {"assignment": seen.assignment, "said": json.dumps(said), "milliseconds": milliseconds,
                "page_version": self._version}  # fmt: skip

    async def _keep(self, path: str, values: Values, stored: Stored) -> None:
        nonce = secrets.token_hex(16)
        started = time.perf_counter()
        reply = await self._send(path, {**values, "nonce": nonce})
        if reply.status_code == 200:
            self.seconds.append(time.perf_counter() - started)
            self.stored[nonce] = stored
            self._last_action = stored.action
        else:
            self.refused[self.told if reply.status_code == 409 else reply.text] += 1

    async def _send(self, path: str, values: Values) -> httpx.Response:
        """Sends until there is a reply, and with bad luck the same once more."""
        values = {**values, "holding": " ".join(map(str, self._cards))}

        def post(**also: Any) -> Awaitable[httpx.Response]:
            return self._browser.post(path, data=values, **also)

        is_unlucky = self._draw.random() < self._resend_share
        self.resent += is_unlucky
        reply = await (self._unluckily(post) if is_unlucky else self._patiently(post))
        if reply.status_code in (200, 409):
            self._look(reply.text)
        return reply

    async def _unluckily(self, post: Post) -> httpx.Response:
        way = self._draw.choice(WAYS)
        if way == "its reply is lost":
            gone_after = httpx.Timeout(PATIENCE_S, read=self._draw.uniform(0.001, 0.03))
            with contextlib.suppress(httpx.TransportError):
                await post(timeout=gone_after)
            return await self._patiently(post)
        if way == "sent twice at once":
            first, second = await asyncio.gather(self._patiently(post), self._patiently(post))
        else:
            first, second = await self._patiently(post), await self._patiently(post)
        assert first.status_code == second.status_code, (way, first.text, second.text)
        return second

    async def _patiently(self, post: Post) -> httpx.Response:
        """As the page does: the same again until the server has answered."""
        while True:
            try:
                reply = await post()
            except httpx.TransportError:
                self.heard[NO_CONNECTION] += 1
            else:
                if reply.status_code not in SEND_AGAIN:
                    return reply
                self.heard[reply.text] += 1
            await asyncio.sleep(AGAIN_AFTER_S)

    def _look(self, page: str) -> None:
        order, undoable, told = _found(NEXT, page)
        self._order, self.undoable, self.told = [*map(int, order.split())], int(undoable), html.unescape(told)
        self._cards |= {seen.assignment: seen for seen in cards(page)}
        self._cards = {number: self._cards[number] for number in self._order}  # the page was given each of them


def cards(page: str) -> Iterator[Seen]:
    """The cards in what a page was sent, as people see them."""
    for number, card in CARD.findall(page):
        yield Seen(
            assignment=int(number),
            kind=_found(KIND, card)[0],
            answers=tuple(dict.fromkeys(MARK.findall(card))),
            axes=tuple(AXIS.findall(card)),
        )


def decide(seen: Seen, draw: random.Random) -> tuple[Values, Values]:
    """What is sent of a decision at random, and what the database should have of it."""
    if seen.kind == "choice":
        left, right = seen.answers
        side, winner = draw.choice([("left", left), ("right", right), ("tie", "tie"), ("both_bad", "both_bad")])
        return {"side": side}, {"winner": winner}
    if seen.kind == "ranking":
        places = draw.sample(range(len(seen.answers)), len(seen.answers))
        tiers = [places[:1], places[1:3], places[3:]]
        return {"tiers": tiers}, {"tiers": [sorted(seen.answers[at] for at in tier) for tier in tiers]}
    if seen.kind == "rating":
        scores = {"scores": {axis: draw.randint(1, 5) for axis in seen.axes}}
        return scores, scores
    text = {"text": f"A better story, number {draw.random()}."}
    return text, text


def _found(pattern: re.Pattern[str], page: str) -> tuple[str, ...]:
    found = pattern.search(page)
    assert found is not None, f"{pattern.pattern} is not in {page[:500]}"
    return found.groups()


def played(crowd: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end in a thread: the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, crowd).result()


async def until_done(people: Sequence[Reader]) -> None:
    """Everybody answers, one card after the other, until nothing is left for them."""

    async def work(reader: Reader) -> None:
        async with reader:
            while reader.card is not None:
                await reader.answer()

    await asyncio.gather(*map(work, people))


async def at_a_pace(people: Sequence[Reader], *, every_s: float, seconds: float) -> None:
    """Everybody joins; then each does something every so many seconds, not all in the same moment."""
    async with contextlib.AsyncExitStack() as opened:
        await asyncio.gather(*(opened.enter_async_context(reader) for reader in people))
        began = time.monotonic()

        async def work(reader: Reader, at: float) -> None:
            while at < seconds:
                await asyncio.sleep(began + at - time.monotonic())  # late: at once
                await (reader.something() if reader.card else reader.look_again())
                at += every_s

        await asyncio.gather(*(work(reader, every_s * place / len(people)) for place, reader in enumerate(people)))


def percentile(seconds: Sequence[float], share: float) -> float:
    """The least time that a share of the times are not above, in ms."""
    return 1000 * sorted(seconds)[math.ceil(share * len(seconds)) - 1]


def summary(seconds: Sequence[float]) -> str:
    """Of times, for people; with what the machine had to do beside."""
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}
    times = ", ".join(f"{name} {percentile(seconds, share):.0f}" for name, share in shares.items())
    return f"{len(seconds)} submissions, ms: {times}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
