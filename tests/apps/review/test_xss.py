"""Hostile text as story, prompt, document and name: it is shown as it is, and nothing of it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.reviews.database import Database, open_database
from tests.apps.review.desk import Desk, at_the_desk
from tests.apps.review.filled import Filling, Served, invite

pytestmark = [pytest.mark.browser, pytest.mark.server]

HOSTILE = [line for line in Path(__file__).with_name("xss.txt").read_text(encoding="utf-8").splitlines() if line]
TEXTS = ["\n\n".join(HOSTILE[at : at + 4]) for at in range(0, len(HOSTILE), 4)]
ANSWERS = 4
GROUPS = [(TEXTS * 2)[at : at + ANSWERS] for at in range(0, len(TEXTS), ANSWERS)]
NAMES = [f"{at} {line}"[:80] for at, line in enumerate(HOSTILE)]
IN_FIELDS = ["</textarea><script>alert(1)</script>", "</template></textarea><img src=x onerror=alert(1)>"]


def items() -> Iterator[Filling]:
    for group in GROUPS:
        yield Filling(kind="ranking", prompt="\n\n".join(group), document="\n\n".join(group[::-1]), answers=group)
    for line in IN_FIELDS:
        yield Filling(kind="correction", prompt=line, answers=[line])


@pytest.fixture(scope="module")
def links(served: Served) -> list[str]:
    """The invite links of people with hostile names."""
    with open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]) as database:
        return [invite(database, served.settings, name) for name in NAMES]


def test_there_are_enough() -> None:
    assert len(set(HOSTILE)) >= 50


def test_no_text_of_a_card_runs(browser: Any, served: Served, database: Database, publish: Callable[..., str]) -> None:
    publish(*items())
    with at_the_desk(browser, served, invite(database, served.settings, "Safe")) as desk:
        for group in GROUPS:
            desk.read()
            assert sorted(desk.shown) == sorted(as_seen(line) for line in group)
            assert desk.page.inner_text(".prompt").endswith("\n\n".join(map(as_seen, group)))
            assert desk.page.inner_text(".document").split() == " ".join(group[::-1]).split()
            assert only_text(desk)
            desk.answer()
        for line in IN_FIELDS:
            desk.read()
            assert desk.page.input_value("textarea") == line
            desk.answer("Control+Enter")
        assert desk.heard.trouble == []


def as_seen(line: str) -> str:
    """A browser shows two spaces as one."""
    return " ".join(line.split(" "))


def only_text(desk: Desk) -> bool:
    """Whether what is read holds paragraphs and nothing else."""
    found = desk.page.evaluate("[...document.querySelectorAll('.story *, .document *')].map((node) => node.tagName)")
    return set(found) == {"P"}


def test_no_name_runs_on_the_way_in(browser: Any, served: Served, links: list[str]) -> None:
    with at_the_desk(browser, served, links[0]) as desk:
        for name, link in [*zip(NAMES, links, strict=True)][::4]:  # all of them stand on the owner's page
            desk.page.goto(link, wait_until="domcontentloaded")
            assert desk.page.inner_text("h1 .name") == as_seen(name)
        for link in links[::16]:
            desk.page.goto(link)
            desk.page.get_by_role("button", name="Begin reading").click()
            desk.page.wait_for_selector("#desk h1")
            desk.press("?")
            desk.page.wait_for_selector("dialog[open] .name")
        assert desk.heard.trouble == []


def test_nothing_runs_on_the_owners_pages(
    browser: Any, served: Served, database: Database, links: list[str], publish: Callable[..., str]
) -> None:
    batch = publish(*items())
    answer_first(browser, served, links[0])
    with at_the_desk(browser, served, invite(database, served.settings, "<b>Boss</b>", "owner")) as desk:
        assert {as_seen(name) for name in NAMES} <= set(desk.page.locator("tbody .name").all_inner_texts())
        desk.page.get_by_role("button", name="Link for 0 ").click()
        assert desk.page.inner_text("#link .name") == as_seen(NAMES[0])
        desk.page.goto(f"{served.address}/owner/batches/{batch}")
        for number, group in enumerate(GROUPS):
            desk.page.goto(f"{served.address}/owner/items/{batch}/{number}", wait_until="domcontentloaded")
            assert [story.inner_text() for story in desk.page.query_selector_all(".story")] == list(map(as_seen, group))
        assert desk.heard.trouble == []


def answer_first(browser: Any, served: Served, link: str) -> None:
    with at_the_desk(browser, served, link) as desk:
        desk.answer()
