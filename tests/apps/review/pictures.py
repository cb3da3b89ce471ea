"""Makes the pictures in docs/review anew: `python -m tests.apps.review.pictures`."""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Assignment
from tests.apps.review.desk import KEYS, Desk, at_the_desk
from tests.apps.review.filled import ROOT, STORIES, Filling, Served, fill, invite, prepared

COLOURS = 255
FOLDER = ROOT / "docs" / "review"
WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {**WIDE, "color_scheme": "light"},
    "dark": {**WIDE, "color_scheme": "dark"},
    "phone": {**PHONE, "color_scheme": "light"},
}
ITEMS = (
    Filling(kind="choice", answers=STORIES[:2]),
    Filling(kind="ranking", prompt="Tell a story about somebody who waits."),
    Filling(kind="rating", prompt="Write a story in which a kite flies away.", answers=STORIES[1:2]),
    Filling(
        kind="correction",
        prompt="Say in one sentence what this is about.",
        document=STORIES[2],
        task="summarization",
        answers=["Ben sat on a bench with a snails and the bus come late, he think it was good."],
    ),
)
HALF = {"choice": (), "ranking": ("3", "1", "2", "t"), "rating": ("4", "3"), "correction": ("e",)}


def main() -> None:
    """A question and every kind of card in every look, and the owner's page."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        served = prepared(Path(folder), prefetch=0)
        with open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]) as database, served.running():
            fill(database, ITEMS * 10, batch="november")
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for look, context in LOOKS.items():
                with at_the_desk(browser, served, invite(database, served.settings, f"Ada {look}"), **context) as desk:
                    take_question(desk, look)
                    take_cards(desk, look)
                give_back(database)
            take_owner(browser, served, database)
            browser.close()


def take_question(desk: Desk, look: str) -> None:
    desk.read()
    desk.press("q")
    desk.page.keyboard.type("Why does a snail carry its house, and who lives next door?")
    desk.page.wait_for_timeout(200)
    keep(desk, f"question-{look}")
    desk.press("Escape", "Escape")


def take_cards(desk: Desk, look: str) -> None:
    for kind in KEYS:
        desk.read()
        desk.press(*HALF[kind])
        desk.page.wait_for_timeout(200)
        keep(desk, f"{kind}-{look}")
        while desk.page.locator("[data-do=back]:enabled").count():
            desk.press("Backspace")
        desk.press("Escape")
        desk.answer()


def keep(desk: Desk, name: str, *, whole: bool = False) -> None:
    """A screenshot in 255 colours: half the bytes, and nobody sees it. whole: of all of the page."""
    picture = Image.open(io.BytesIO(desk.page.screenshot(full_page=whole))).convert("RGB")
    picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        FOLDER / f"{name}.png", optimize=True
    )


def give_back(database: Database) -> None:
    with database.session() as session:
        session.query(Assignment).where(Assignment.done_at.is_(None)).update({"reviewer_id": None, "lease_until": None})


def take_owner(browser: Any, served: Served, database: Database) -> None:
    with at_the_desk(browser, served, invite(database, served.settings, "Olga", "owner"), **LOOKS["light"]) as desk:
        keep(desk, "owner-light", whole=True)


if __name__ == "__main__":
    main()
