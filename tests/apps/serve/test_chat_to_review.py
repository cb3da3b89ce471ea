"""What a person says of replies in the chat is on cards of the review page: both in a real Chromium, one database."""

import os
from pathlib import Path
from typing import Any

import pytest

from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Annotation, Generation, Item
from tests.apps.review.desk import at_the_desk
from tests.apps.review.filled import invite, prepared
from tests.apps.serve.running import write_model
from tests.apps.serve.saying import saying
from tests.apps.serve.talker import talking

pytestmark = [pytest.mark.browser, pytest.mark.server]

ASKED, COMPARED = "Tell me of an owl who could not sleep.", "Write a story with the words kite, wall, wind."
ALONE = "The owl sat on the barn. She counted the hens until it was day, and then she slept."
FIRST, SECOND = "The wind took the kite. It flew over the wall.", "A kite sat on a wall and waited for the wind."
WAIT_MS = 60_000  # for machines that do something else too
PICTURES = os.environ.get("FLEDGLING_PICTURES")  # a folder to look at, where somebody wants to


def test_thumbs_votes_and_what_is_sent_to_review_are_cards(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "review").mkdir()
    review = prepared(tmp_path / "review")
    address = review.environment["FLEDGLING_REVIEW_DATABASE"]
    monkeypatch.setenv("FLEDGLING_REVIEW_DATABASE", address)
    first, second = (write_model(tmp_path / name, seed=seed) for seed, name in enumerate(("first", "second")))
    with open_database(address) as database, review.running():
        with saying(first, beside=[second]) as said, talking(browser, said.server.address) as talker:
            said.says(ALONE, FIRST)
            said.says(SECOND, version="second")
            talker.say(ASKED)
            for judged in ("down", "review"):
                talker.page.click(f"[data-current] [data-do={judged}]")
                talker.page.wait_for_selector(f"[data-do={judged}][aria-pressed=true]")
            pictured(talker.page, "chat-judged")
            talker.page.click("#new")
            talker.page.click("#beside")
            talker.say(COMPARED)
            better = talker.replies[1]
            assert sorted(talker.replies) == sorted([FIRST, SECOND])
            talker.page.click("[data-current] [data-vote='1']")
            talker.page.wait_for_selector(".reply[data-chosen]")
            pictured(talker.page, "chat-voted")
            assert talker.heard.trouble == []
        shown = {}
        with at_the_desk(browser, review, invite(database, review.settings, "Ada")) as desk:
            desk.page.set_default_timeout(WAIT_MS)
            for _ in range(3):
                desk.read()
                shown[desk.kind] = (desk.page.inner_text(".prompt"), sorted(desk.shown))
                pictured(desk.page, f"review-{desk.kind}")
                desk.answer()
            desk.page.wait_for_selector(".nothing")
            assert desk.heard.trouble == []
        asked = {kind: prompt.removeprefix("The request:").strip() for kind, (prompt, _) in shown.items()}
        assert asked == {"rating": ASKED, "correction": ASKED, "choice": COMPARED}
        assert shown["choice"][1] == sorted([FIRST, SECOND])
        assert shown["rating"][1] == [ALONE]
        assert decided(database) == {"rating", "correction", "choice"}
        assert winner(database) == better, "what the chat said of them is kept beside the item, and shown to nobody"


def decided(database: Database) -> set[str]:
    with database.reading() as session:
        return {row.item.kind for row in session.query(Annotation) if row.action == "answer"}


def winner(database: Database) -> str:
    """Which of the two compared texts the person at the chat found better."""
    with database.reading() as session:
        item = session.query(Item).filter_by(kind="choice").one()
        return str(session.get_one(Generation, item.judge["winner"]).text)


def pictured(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")
