"""What the review page costs a reader, beyond reading."""

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row
from tasks.stage import UserError

WORDS_A_MINUTE = 200
OF_EACH_KIND = 3
MOST_MS = 1_000.0
ANSWERS = (
    "The owl slept at noon and nobody woke it.",
    "A kite went over the wall; Mara rang the bell.",
    "The bus was late, and so was the snail.",
    "One day the pot sang, and in it sat a mouse.",
)


def review_page_lost_ms_per_item() -> Row:
    """Milliseconds an item that a reader of 200 words a minute loses to the page: all the time but the reading.

    A real server on SQLite and a real Chromium; three items of each kind by keyboard, each truly read for as long as
    its words take. Lost is what passes from the first key of a decision, all its keys and the storing included,
    until the next card can be read.
    """
    if (chromium := shutil.which("chromium")) is None:
        raise UserError("chromium is not installed; `make test-system` installs it")
    from playwright.sync_api import sync_playwright

    from tasks.reviews.database import open_database
    from tests.apps.review.desk import KEYS, at_the_desk
    from tests.apps.review.filled import Filling, fill, invite, prepared

    items = [Filling(kind=kind, prompt="Write a short story.", answers=ANSWERS) for kind in KEYS] * OF_EACH_KIND  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        served = prepared(Path(folder))
        with open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]) as database, served.running():
            fill(database, items)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            with at_the_desk(browser, served, invite(database, served.settings, "Reader")) as desk:
                desk.page.wait_for_selector("form.card")
                lost_s = 0.0
                for _ in items:
                    words = " ".join([*desk.shown, desk.page.inner_text(".request")]).split()
                    time.sleep(60 * len(words) / WORDS_A_MINUTE)
                    started, before = time.perf_counter(), desk.card
                    desk.press(*KEYS[desk.kind])
                    desk.moved_on(before)
                    lost_s += time.perf_counter() - started
            browser.close()
    return Row(
        name="review_page_lost_ms_per_item",
        unit="ms",
        value=round(1000 * lost_s / len(items), 1),
        peer="a second an item",
        peer_value=MOST_MS,
        bar=1.0,
        lower_is_better=True,
    )


if __name__ == "__main__":
    print(review_page_lost_ms_per_item())
