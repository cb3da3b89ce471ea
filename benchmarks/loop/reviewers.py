"""Simulated reviewers: scripts that read the page as it is sent over HTTP and decide by a hidden preference."""

import asyncio
import json
import random
import re
import secrets
from collections.abc import Sequence
from typing import Any

import httpx
from lxml import html

from benchmarks.loop.preferences import NOISE, Preference

PATIENCE_S = 60.0
AGAIN_AFTER_S = 0.5
SEND_AGAIN = (429, 500, 502, 503, 504)
LEAST_MS, MOST_MS = 20_000, 60_000  # that a person would have read two stories in; what the script itself takes is less

OTHER = {"left": "right", "right": "left", "tie": "both_bad", "both_bad": "tie"}


class SimulatedReviewer:
    """One browser of one script. answered: how many cards it decided on."""

    def __init__(self, link: str, preference: Preference, *, seed: int) -> None:
        self.answered = 0
        self._link = httpx.URL(link)
        self._preference = preference
        self._draw = random.Random(seed)  # noqa: S311
        self._cards: dict[str, Any] = {}
        self._order: list[str] = []
        self._version = ""
        page = f"{self._link.scheme}://{self._link.netloc.decode()}"
        self._browser = httpx.AsyncClient(base_url=page, headers={"Origin": page}, timeout=PATIENCE_S)

    async def work(self) -> int:
        """Joins, answers until nothing is left, and returns how many cards that were."""
        async with self._browser:
            await self._join()
            self._look(await self._open())
            while self._order:
                await self._answer()
        return self.answered

    async def _join(self) -> None:
        (await self._browser.get(self._link)).raise_for_status()
        joined = await self._browser.post("/join", data={"token": self._link.params["token"]})
        if joined.status_code != httpx.codes.SEE_OTHER:
            raise RuntimeError(f"the page lets no simulated reviewer in: {joined.text[:200]}")

    async def _open(self) -> str:
        page = await self._browser.get("/")
        page.raise_for_status()
        desk = html.fromstring(page.text)
        self._browser.headers["X-CSRF-Token"] = json.loads(desk.xpath("//@hx-headers")[0])["X-CSRF-Token"]
        self._version = desk.xpath("//@data-version")[0]
        return page.text

    async def _answer(self) -> None:
        number = self._order[0]
        side = self._decide(self._cards[number])
        said = {
            "assignment": number,
            "said": json.dumps({"side": side}),
            "milliseconds": str(self._draw.randrange(LEAST_MS, MOST_MS)),
            "page_version": self._version,
            "nonce": secrets.token_hex(16),
            "holding": " ".join(self._cards),
        }
        reply = await self._browser.post("/answers", data=said)
        while reply.status_code in SEND_AGAIN:
            await asyncio.sleep(AGAIN_AFTER_S)
            reply = await self._browser.post("/answers", data=said)
        reply.raise_for_status()
        self.answered += 1
        self._look(reply.text)

    def _decide(self, card: Any) -> str:
        """Left or right where one alone is liked; of the rest a tie or both bad; sometimes the other way round."""
        left, right = (self._preference.has(text) for text in _answers(card))
        side = {(True, False): "left", (False, True): "right", (True, True): "tie"}.get((left, right), "both_bad")
        return OTHER[side] if self._draw.random() < NOISE else side

    def _look(self, page: str) -> None:
        tree = html.fromstring(f"<div>{page}</div>" if "<html" not in page else page)
        found = {card.get("data-assignment"): card for card in tree.iter("template") if card.get("data-assignment")}
        (order,) = tree.xpath("//*[@id='next']/@data-order")
        self._order = order.split()
        self._cards = {number: card for number, card in {**self._cards, **found}.items() if number in self._order}


def _answers(card: Any) -> list[str]:
    """The texts of a choice, left and right."""
    shown = card.xpath(".//*[contains(concat(' ', @class, ' '), ' story ')]")
    return ["\n".join(paragraph.text_content() for paragraph in story.iter("p")) for story in shown]


def answer_all(links: Sequence[str], preference: Preference, *, seed: int) -> int:
    """Every reviewer works until nothing is left; returns how many cards were decided on."""

    async def crowd() -> list[int]:
        return await asyncio.gather(
            *(SimulatedReviewer(link, preference, seed=seed + at).work() for at, link in enumerate(links))
        )

    return sum(asyncio.run(crowd()))


def invite_link(said: str) -> str:
    """The link in what `fledgling review invite` printed."""
    found = re.search(r"http://\S+", said)
    if found is None:
        raise RuntimeError(f"no link in {said!r}")
    return found[0]
