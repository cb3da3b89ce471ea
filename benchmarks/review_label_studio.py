"""What a choice costs a reader here and in Label Studio: `python -m benchmarks.review_label_studio [VENV]`.

VENV holds Label Studio, var/label-studio where none is named; see benchmarks.label_studio. Prodigy is sold and not on
PyPI: it was not tried.
"""

import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.label_studio import PLACE, Studio, at_the_studio, studio
from benchmarks.review_page import WORDS_A_MINUTE
from benchmarks.row import Row
from tasks.stage import UserError

ROUNDS = 3
OF_A_ROUND = 10  # choices
BY_HOTKEY = """<View><Text name="prompt" value="$prompt"/><Text name="answer_1" value="$answer_1"/>
<Text name="answer_2" value="$answer_2"/><Choices name="choice" toName="prompt" choice="single">
<Choice value="left" hotkey="1"/><Choice value="right" hotkey="2"/><Choice value="tie" hotkey="3"/></Choices></View>"""
ANSWERS = (
    "The owl slept at noon and nobody woke it, {} times.",
    "A kite went over {} walls; Mara rang the bell.",
)


class Desk(Protocol):
    """Somebody's page. shown: the texts to read; decide: until the next ones can be read and decided."""

    @property
    def shown(self) -> Sequence[str]: ...

    def decide(self) -> None: ...


@dataclass(frozen=True)
class OurDesk:
    """The review page, one key a choice."""

    desk: Any

    @property
    def shown(self) -> list[str]:
        return [self.desk.page.inner_text(".request"), *self.desk.shown]

    def decide(self) -> None:
        before = self.desk.card
        self.desk.press("ArrowLeft")
        self.desk.moved_on(before)


def review_page_vs_label_studio(venv: Path = PLACE) -> Row:
    """Milliseconds a choice between two answers that a reader of 200 words a minute loses to either page.

    All the time but the reading: from the first key or click of a decision, the storing included, until the next pair
    can be read and decided. Median of 30 choices in rounds that take turns, each pair truly read for as long as its
    words take. Here one key decides. There, in the project that `fledgling review export` writes (Pairwise), it is a
    click on the text and Ctrl+Enter; in one of Choices with hotkeys a key and Ctrl+Enter. The quicker of the two is
    the peer; the way of the hand to the mouse costs nothing. Both on SQLite, as their makers start them.
    """
    lost: dict[str, list[float]] = {"here": [], "click": [], "hotkey": []}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(studio(venv))
        projects, desks = _desks(stack, server, folder)
        for _ in range(ROUNDS):
            for name, desk in desks.items():
                lost[name] += [_lost_ms(desk) for _ in range(OF_A_ROUND)]
        version = server.version
        for project in projects:
            assert len(server.exported(project)) == ROUNDS * OF_A_ROUND, "Label Studio lost an answer"
    here, click, hotkey = (round(statistics.median(lost[name]), 1) for name in ("here", "click", "hotkey"))
    return Row(
        name="review_page_vs_label_studio",
        unit="ms",
        value=here,
        peer=f"Label Studio {version}",
        peer_value=min(click, hotkey),
        bar=1.0,
        lower_is_better=True,
        note=f"one key beside a click and Ctrl+Enter ({click} ms), or a hotkey and Ctrl+Enter ({hotkey} ms)",
    )


def _desks(stack: contextlib.ExitStack, server: Studio, folder: Path) -> tuple[tuple[int, int], dict[str, Desk]]:
    """Label Studio's projects, and the three pages, each with pairs enough."""
    if (chromium := shutil.which("chromium")) is None:
        raise UserError("chromium is not installed; `make test-system` installs it")
    from playwright.sync_api import sync_playwright

    playwright = stack.enter_context(sync_playwright())
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    stack.callback(browser.close)
    pairs = [
        {"prompt": "Write a short story.", "answer_1": ANSWERS[0].format(at), "answer_2": ANSWERS[1].format(at)}
        for at in range(2, 3 + ROUNDS * OF_A_ROUND)  # one is left at the end
    ]
    tasks = [{"data": pair} for pair in pairs]
    click, hotkey = (server.project(config, tasks) for config in (_exported_config(), BY_HOTKEY))
    return (click, hotkey), {
        "here": OurDesk(_ours(stack, browser, pairs, folder)),
        "click": stack.enter_context(at_the_studio(browser, server, click)),
        "hotkey": stack.enter_context(at_the_studio(browser, server, hotkey, key="1")),
    }


def _exported_config() -> str:
    """Of a project of choices, as `fledgling review export` writes it."""
    from tasks.judging.rubric import load_rubric
    from tasks.reviews.label_studio import Project

    return Project("choice").config(load_rubric(Path("rubric.yaml")))


def _ours(stack: contextlib.ExitStack, browser: Any, pairs: Sequence[dict[str, str]], folder: Path) -> Any:
    from tasks.reviews.database import open_database
    from tests.apps.review.desk import at_the_desk
    from tests.apps.review.filled import Filling, fill, invite, prepared

    (folder / "ours").mkdir()
    served = prepared(folder / "ours")
    database = stack.enter_context(open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]))
    stack.enter_context(served.running())
    items = [
        Filling(kind="choice", prompt=pair["prompt"], answers=(pair["answer_1"], pair["answer_2"])) for pair in pairs
    ]
    fill(database, items)
    desk = stack.enter_context(at_the_desk(browser, served, invite(database, served.settings, "Reader")))
    desk.page.wait_for_selector("form.card")
    return desk


def _lost_ms(desk: Desk) -> float:
    """Reads what is shown for as long as its words take, decides, and says what the page took."""
    time.sleep(60 * len(" ".join(desk.shown).split()) / WORDS_A_MINUTE)
    started = time.perf_counter()
    desk.decide()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    try:
        print(review_page_vs_label_studio(*map(Path, sys.argv[1:2])))
    except UserError as error:
        sys.exit(f"NOT RUN: {error}")
