"""A reader at the page: real keys, clicks and taps in a real Chromium."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.apps.review.filled import Served

JUST_SHOWN_MS = 280  # the page takes no answer sooner than 250 ms after a card was shown
WAIT_MS = 15_000
A_RATING = ("2", "3", "4", "5")
KEYS = {
    "choice": ("ArrowLeft",),
    "ranking": ("3", "1", "2", "t", "Enter"),
    "rating": (*A_RATING, "Enter"),
    "correction": ("e", "Control+Home", "W", "e", "l", "l", ",", "Space", "Control+Enter"),
}


@dataclass(frozen=True)
class Desk:
    """The page in a browser. heard: console messages, errors, dialogs and addresses asked for."""

    page: Any
    heard: "Heard"

    @property
    def card(self) -> str | None:
        """The assignment on the screen."""
        card = self.page.query_selector("form.card")
        return card.get_attribute("data-assignment") if card else None

    @property
    def kind(self) -> str:
        return str(self.page.get_attribute("form.card", "data-kind"))

    @property
    def shown(self) -> list[str]:
        """The texts of the answers, as a person sees them."""
        return [story.inner_text() for story in self.page.query_selector_all("#desk article .story")]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def read(self) -> None:
        """Waits as long as the page takes a second key for the first one's echo."""
        self.page.wait_for_selector("form.card")
        self.page.wait_for_timeout(JUST_SHOWN_MS)

    def answer(self, *keys: str) -> None:
        """Decides by keys, those of the kind without any, and waits for the next card."""
        self.read()
        before = self.card
        self.press(*(keys or KEYS[self.kind]))
        self.moved_on(before)

    def moved_on(self, before: str | None) -> None:
        """Waits until another card is there, or none, and the page is at rest."""
        self.page.wait_for_function(
            "before => document.querySelector('form.card')?.dataset.assignment !== (before ?? undefined)"
            " && document.querySelector('#desk').ariaBusy === 'false'",
            arg=before, timeout=WAIT_MS,
        )  # fmt: skip


class Heard:
    """What the browser said of a page."""

    def __init__(self, page: Any) -> None:
        self.console: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.asked.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def trouble(self) -> list[str]:
        return self.console + self.errors + self.dialogs


@contextlib.contextmanager
def at_the_desk(browser: Any, served: Served, link: str, **context: Any) -> Iterator[Desk]:
    """A person who has followed their link; whatever they do, the page stays free of errors and asks nobody else."""
    opened = browser.new_context(**context)
    page = opened.new_page()
    page.set_default_timeout(WAIT_MS)
    desk = Desk(page, Heard(page))
    page.goto(link)
    page.get_by_role("button", name="Begin reading").click()
    page.wait_for_load_state()
    try:
        yield desk
        assert [url for url in desk.heard.asked if not url.startswith(f"{served.address}/")] == []
    finally:
        opened.close()
