"""A person at the chat page: real keys and clicks in a real Chromium."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.apps.review.desk import Heard

WAIT_MS = 60_000  # for machines that do something else too


@dataclass(frozen=True)
class Talker:
    """The page in a browser. heard: console messages, errors, dialogs and addresses asked for."""

    page: Any
    heard: Heard

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def say(self, text: str, *, wait: bool = True) -> None:
        """Writes and sends; waits for the answer's end."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        if wait:
            self.done()

    def done(self) -> None:
        """Waits until nothing is being answered."""
        self.page.wait_for_selector("#send:not([hidden])")

    def status(self, text: str) -> None:
        self.page.locator("#status", has_text=text).wait_for()

    @property
    def asked(self) -> list[str]:
        return [text.inner_text() for text in self.page.query_selector_all(".asked .text")]

    @property
    def replies(self) -> list[str]:
        return [text.inner_text() for text in self.page.query_selector_all(".reply .text")]

    @property
    def notes(self) -> list[str]:
        return [note.inner_text() for note in self.page.query_selector_all(".reply .note")]


@contextlib.contextmanager
def talking(browser: Any, address: str, *, seed: int | None = None, **context: Any) -> Iterator[Talker]:
    """A person who opened the page; whatever they do, it stays free of errors and asks nobody else.

    seed: kept in the page's settings, so that a model says the same whenever it is asked the same.
    """
    opened = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **context)
    if seed is not None:
        opened.add_init_script(f"localStorage.setItem('chat-settings', JSON.stringify({{ seed: '{seed}' }}))")
    page = opened.new_page()
    page.set_default_timeout(WAIT_MS)
    talker = Talker(page, Heard(page))
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    try:
        yield talker
        assert [url for url in talker.heard.asked if not url.startswith(f"{address}/")] == []
        assert talker.heard.errors == []
        assert talker.heard.dialogs == []
    finally:
        opened.close()
