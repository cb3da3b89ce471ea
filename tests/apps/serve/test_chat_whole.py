"""The chat page on the real server, with two tiny real models and a real review database."""

from collections.abc import Iterator
from typing import Any

import pytest

from tasks.reviews.database import open_database
from tasks.reviews.tables import Item, ReplyVote
from tests.apps.serve.running import Running, running, slowly, write_model
from tests.apps.serve.talker import Talker, talking

pytestmark = [pytest.mark.browser, pytest.mark.server]

STEP_S = 0.02
SEED = 1  # with it no reply of the untrained models is empty


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the review database that the server keeps votes in."""
    with pytest.MonkeyPatch.context() as patch:
        address = f"sqlite:///{tmp_path_factory.mktemp('reviews') / 'reviews.db'}"
        patch.setenv("FLEDGLING_REVIEW_DATABASE", address)
        open_database(address).close()  # its tables are made before anybody waits for them
        yield address


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Running]:
    folders = tmp_path_factory.mktemp("models")
    first, second = (write_model(folders / name, seed=seed) for seed, name in enumerate(("first", "second")))
    with running(str(first), beside=[str(second)], load=slowly(STEP_S)) as made:
        yield made


def items(database: str) -> list[Item]:
    with open_database(database) as opened, opened.reading() as session:
        return session.query(Item).order_by(Item.position).all()


def votes(database: str) -> list[str]:
    with open_database(database) as opened, opened.reading() as session:
        return [vote.value for vote in session.query(ReplyVote).order_by(ReplyVote.id)]


def judged(talker: Talker, selector: str) -> None:
    talker.page.click(f"[data-current] {selector}")


def test_a_story_is_told_judged_and_sent_to_review(browser: Any, whole: Running, database: str) -> None:
    before = len(items(database))
    with talking(browser, whole.address, seed=SEED) as talker:
        talker.press("Escape", "2")
        for name, word in (("first", "owl"), ("second", "noon"), ("third", "moon")):
            talker.page.fill(f"fieldset:not([disabled]) [name={name}]", word)
        talker.press("Enter")
        talker.done()
        assert talker.replies[0].strip()
        assert talker.page.inner_text(".reply h2") == "fledgling/first"
        judged(talker, "[data-do=down]")
        talker.page.wait_for_selector("[data-do=down][aria-pressed=true]")
        judged(talker, "[data-do=review]")
        talker.page.wait_for_selector("[data-do=review][aria-pressed=true]")
        assert talker.heard.trouble == []
    assert votes(database)[-1] == "down"
    assert len(items(database)) > before


def test_two_versions_become_a_choice(browser: Any, whole: Running, database: str) -> None:
    with talking(browser, whole.address, seed=SEED) as talker:
        talker.page.click("#beside")
        talker.say("Write a story with the words mill, snow, bell.")
        judged(talker, "[data-vote='1']")
        talker.page.wait_for_selector(".reply[data-chosen]")
        headings = [heading.inner_text() for heading in talker.page.query_selector_all(".reply h2")]
        assert sorted(heading.partition(" · ")[2] for heading in headings) == ["fledgling/first", "fledgling/second"]
        assert talker.heard.trouble == []
    assert votes(database)[-1] in ("better", "worse")
    assert "choice" in {item.kind for item in items(database)}


def test_a_label_is_one_of_those_asked_for(browser: Any, whole: Running) -> None:
    with talking(browser, whole.address, seed=SEED) as talker:
        talker.press("Escape", "5")
        talker.page.fill("fieldset:not([disabled]) [name=text]", "Mina lost her ball.")
        talker.page.fill("fieldset:not([disabled]) [name=labels]", "sad, glad")
        talker.page.click("#send")
        talker.done()
        assert talker.replies[0] in ("sad", "glad")


def test_stopping_frees_the_place(browser: Any, whole: Running) -> None:
    with talking(browser, whole.address, seed=SEED) as talker:
        talker.say("Tell of an owl.", wait=False)
        talker.page.wait_for_function("() => document.querySelector('.reply').dataset.state === 'going'")
        talker.page.click("#stop")
        talker.done()
        assert talker.notes[0].endswith("stopped")
        whole.idle()


def test_what_does_not_fit_is_told_and_the_page_goes_on(browser: Any, whole: Running) -> None:
    with talking(browser, whole.address, seed=SEED) as talker:
        talker.say("long " * 400)
        assert "the context is" in talker.notes[0]
        talker.say("Short.")
        assert talker.replies[1].strip()
