"""A person without a browser: the requests that the page sends, and those that it would never send."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

CSRF = re.compile(r'"X-CSRF-Token": "([0-9a-f]+)"')
ORDER = re.compile(r'data-order="([0-9 ]*)"')


@dataclass(frozen=True)
class Member:
    """Somebody who has joined. csrf: the token of their session."""

    client: httpx.Client
    csrf: str

    @property
    def cards(self) -> list[int]:
        """The assignments that they hold, the first first."""
        return order_of(self.client.get("/"))

    def post(self, path: str, values: Mapping[str, Any], **headers: str) -> httpx.Response:
        return self.client.post(path, data=dict(values), headers={"X-CSRF-Token": self.csrf, **headers})

    def choose(self, assignment: int, side: str = "left", **values: Any) -> httpx.Response:
        return self.post("/answers", answer(assignment, {"side": side}, **values))


def answer(assignment: int, said: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """The fields of an answer."""
    fields = {"assignment": assignment, "said": json.dumps(said), "nonce": secrets.token_hex(16)}
    return {**fields, "milliseconds": 1500, "page_version": "tests", **values}


def order_of(response: httpx.Response) -> list[int]:
    """The cards that an answer names."""
    found = ORDER.search(response.text)
    assert found, response.text
    return [int(number) for number in found[1].split()]


@contextmanager
def joined(link: str, **options: Any) -> Iterator[Member]:
    """Somebody who has followed their link and pressed the button."""
    address, _, token = link.partition("/join?token=")
    with httpx.Client(base_url=address, follow_redirects=True, **options) as client:
        page = client.post("/join", data={"token": token})
        found = CSRF.search(page.text)
        assert found, page.text
        yield Member(client, found[1])
