"""A reviewer's own question: two real models answer it live, blind, and the choice is kept as any other."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.reviews.database import Database, open_database
from tasks.reviews.rows import row
from tasks.reviews.tables import Batch, Generation, Item
from tests.apps.review.desk import at_the_desk
from tests.apps.review.filled import Filling, Served, fill, invite, prepared, rows
from tests.apps.review.member import Member, joined, order_of
from tests.apps.review.servers import PageServer, over, running
from tests.apps.review.servers import page_server as page_server
from tests.apps.serve.running import Running, write_model
from tests.apps.serve.running import running as serving
from tests.tasks.reviews.conftest import postgresql as postgresql
from tests.tasks.reviews.conftest import review_address as review_address

pytestmark = pytest.mark.server

QUESTION = "Tell me <b>a story</b> about a fox who finds a red boot."
SETTINGS = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 24}
PATIENCE_S = 200.0  # the page itself waits 90 s for the models
NOBODY = "http://127.0.0.1:9"  # refuses at once
AWAY = "The models can&#39;t be asked now."
Opening = Callable[[str], AbstractContextManager[tuple[Served, Database]]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two tiny models."""
    folder = tmp_path_factory.mktemp("models")
    return str(write_model(folder / "first")), str(write_model(folder / "second", seed=7))


@pytest.fixture(scope="module")
def models(folders: tuple[str, str]) -> Iterator[Running]:
    """The server of both."""
    with serving(folders[0], beside=[folders[1]]) as server:
        yield server


@pytest.fixture
def opening(page_server: PageServer, tmp_path: Path) -> Opening:
    """Opens a page with three choices; models: the address of those that answer."""

    @contextlib.contextmanager
    def opening(models: str, *, address: str = "", **environment: str) -> Iterator[tuple[Served, Database]]:
        served = prepared(tmp_path, question=SETTINGS)
        served = over(served, address or served.environment["FLEDGLING_REVIEW_DATABASE"])
        asks = {"FLEDGLING_SERVE_URL": models, **environment}
        served = replace(served, environment={**served.environment, **asks})
        with open_database(served.environment["FLEDGLING_REVIEW_DATABASE"]) as database:
            fill(database, [Filling(kind="choice")] * 3)
            with running(page_server, served):
                yield served, database

    return opening


def ask(member: Member, text: str = QUESTION, nonce: str = "nonce-00000001") -> Any:
    return member.post("/questions", {"text": text, "nonce": nonce})


def asked(database: Database) -> list[Item]:
    """The items that were made of questions."""
    with database.reading() as session:
        return session.query(Item).join(Batch).filter(Batch.source == "served").order_by(Item.id).all()


def test_what_two_models_say_is_a_choice_on_both_databases(
    opening: Opening, models: Running, review_address: str
) -> None:
    with opening(models.address, address=review_address) as (served, database):
        with joined(invite(database, served.settings, "Asta"), timeout=PATIENCE_S) as member:
            before = member.cards
            first = ask(member)
            again = ask(member)  # a resend: nothing is asked twice
            assert order_of(first) == order_of(again)
            card, *others = order_of(first)
            assert others == before[: len(others)]  # the items go on after it
            assert member.cards[0] == card  # a reload finds it
            for told in (first.text, again.text):
                assert "&lt;b&gt;a story&lt;/b&gt;" in told
                assert "fledgling/" not in told
                assert "chatcmpl" not in told
            assert member.choose(card).status_code == 200
            assert order_of(ask(member)) == before  # answered: it does not come back
        (annotation,) = rows(database, name="Asta")
        with database.reading() as session:
            kept = row(session.merge(annotation))
            generations = session.query(Generation).filter(Generation.model == "fledgling").all()
    assert kept.kind == "choice"
    assert kept.prompt.text == QUESTION
    assert kept.is_for_training
    assert kept.decision == {"winner": kept.sides[0]}
    assert {one.model_version for one in generations} == {"first", "second"}
    assert {one.id for one in generations} == set(kept.sides)
    for one in generations:
        assert one.text
        assert one.decoding["reply"].startswith("chatcmpl-")
        assert SETTINGS.items() <= one.decoding.items()
        again = models.ask(messages=[{"role": "user", "content": QUESTION}], seed=one.decoding["seed"],
                           model=f"fledgling/{one.model_version}", **SETTINGS)  # fmt: skip
        assert again.json()["choices"][0]["message"]["content"] == one.text, "the decoding that is kept makes it again"


def test_a_question_that_was_answered_can_be_skipped_and_taken_back(opening: Opening, models: Running) -> None:
    with opening(models.address) as (served, database):
        with joined(invite(database, served.settings, "Skipper"), timeout=PATIENCE_S) as member:
            card = order_of(ask(member))[0]
            sent = {"assignment": card, "said": '{"reason": "unsettling"}', "nonce": "nonce-skip-0001",
                    "milliseconds": 900, "page_version": "tests"}  # fmt: skip
            assert card not in order_of(member.post("/skips", sent))
            assert order_of(member.post("/undo", {"nonce": "nonce-undo-0001"}))[0] == card
        assert [one.action for one in rows(database, name="Skipper")] == ["skip", "undo"]


def test_models_that_are_away_are_one_line_and_the_items_go_on(opening: Opening) -> None:
    with opening(NOBODY) as (served, database):
        with joined(invite(database, served.settings, "Alone"), timeout=PATIENCE_S) as member:
            before = member.cards
            refused = ask(member)
            assert (refused.status_code, AWAY in refused.text, order_of(refused)) == (409, True, before)
            assert member.choose(before[0]).status_code == 200
        assert asked(database) == []


def test_one_model_is_no_comparison(opening: Opening, folders: tuple[str, str]) -> None:
    with serving(folders[0]) as one, opening(one.address) as (served, database):
        with joined(invite(database, served.settings, "Single"), timeout=PATIENCE_S) as member:
            refused = ask(member)
        assert (refused.status_code, "There are no two models" in refused.text) == (409, True)


def test_a_server_with_keys_is_asked_with_the_first_of_them(opening: Opening, folders: tuple[str, str]) -> None:
    key = "sesame-sesame-sesame"
    with (
        serving(folders[0], beside=[folders[1]], keys=(key,)) as locked,
        opening(locked.address, FLEDGLING_SERVE_KEYS=f"{key},another") as (served, database),
        joined(invite(database, served.settings, "Key"), timeout=PATIENCE_S) as member,
    ):
        assert ask(member).status_code == 200
        assert len(asked(database)) == 1


@pytest.mark.parametrize(
    ("question", "line"),
    [
        (" \n ", "the question is empty"),
        ("why " * 501, "at most 2,000 are asked"),
        ("why " * 450, "it may be too long for them"),
        ("Tell me how the man took a gun.", "A model may not answer that."),
    ],
)
def test_what_is_no_question_is_told_in_one_line(opening: Opening, models: Running, question: str, line: str) -> None:
    with opening(models.address) as (served, database):
        with joined(invite(database, served.settings, "Wrong"), timeout=PATIENCE_S) as member:
            refused = ask(member, question)
            assert (refused.status_code, line in refused.text) == (409, True), refused.text
        assert asked(database) == []


def test_questions_have_a_limit_and_answers_go_on(opening: Opening) -> None:
    with (
        opening(NOBODY) as (served, database),
        joined(invite(database, served.settings, "Eager"), timeout=PATIENCE_S) as member,
    ):
        told = [ask(member, nonce=f"nonce-{number:08}").text for number in range(14)]
        assert [AWAY in line for line in told[:12]] == [True] * 12
        assert "So many questions" in told[13]
        assert member.choose(member.cards[0]).status_code == 200


def test_a_question_wants_the_sessions_own_page(opening: Opening) -> None:
    with opening(NOBODY) as (served, database), joined(invite(database, served.settings, "Mallory")) as member:
        sent = {"text": QUESTION, "nonce": "nonce-00000001"}
        assert member.client.post("/questions", data=sent).status_code == 403
        member.client.cookies.clear()
        assert ask(member).status_code == 401


@pytest.mark.browser
def test_a_question_by_keyboard(browser: Any, opening: Opening, models: Running) -> None:
    with opening(models.address) as (served, database):
        with at_the_desk(browser, served, invite(database, served.settings, "Quin")) as desk:
            desk.read()
            before = desk.card
            desk.press("q")
            desk.page.keyboard.type("Why is a quick fox red?")
            desk.press("Escape", "Escape")  # out of the text, back to the items
            desk.page.wait_for_selector(f'form.card[data-assignment="{before}"]')
            desk.press("q")
            assert desk.page.input_value("#question-text") == "Why is a quick fox red?"
            desk.page.wait_for_timeout(300)
            desk.press("Control+Enter")
            desk.page.wait_for_selector("form.card.choice", timeout=1000 * PATIENCE_S)
            assert (desk.kind, desk.page.inner_text(".prompt p")) == ("choice", "Why is a quick fox red?")
            shown = desk.shown
            desk.answer("ArrowRight")
            assert desk.card == before
            desk.press("Backspace")
            desk.moved_on(before)
            assert desk.shown == shown
            desk.answer("t")
            assert desk.heard.trouble == []
        told = rows(database, name="Quin")
    assert [one.action for one in told] == ["answer", "undo", "answer"]
    assert told[0].decision == {"winner": told[0].sides[1]}
    assert told[2].decision == {"winner": "tie"}


@pytest.mark.browser
def test_a_question_that_nobody_answers_stays_written(browser: Any, opening: Opening) -> None:
    with opening(NOBODY) as (served, database):
        with at_the_desk(browser, served, invite(database, served.settings, "Away")) as desk:
            desk.read()
            before = desk.card
            desk.page.get_by_role("button", name="Ask").click()
            desk.page.keyboard.type("Is anybody there?")
            desk.page.wait_for_timeout(300)
            desk.press("Control+Enter")
            desk.page.get_by_text("The models can't be asked now").wait_for()
            assert desk.page.input_value("#question-text") == "Is anybody there?"
            desk.page.get_by_role("button", name="Back to the items").click()
            assert desk.card == before
            desk.answer("ArrowLeft")
            assert desk.page.inner_text("#status") == ""
        assert [one.action for one in rows(database, name="Away")] == ["answer"]
