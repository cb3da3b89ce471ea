"""The desk in a real Chromium: by keyboard, by touch, through reloads and outages; the rows are read afterwards."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from apps.review.access import Gate
from tasks.reviews import reviewers
from tasks.reviews.database import Database
from tasks.reviews.tables import Annotation, Item
from tests.apps.review.desk import A_RATING, KEYS, Desk, at_the_desk
from tests.apps.review.filled import STORIES, Filling, Served, invite, rows

pytestmark = [pytest.mark.browser, pytest.mark.server]

Publish = Callable[..., str]
ALL_KINDS = [Filling(kind="choice"), Filling(kind="ranking"), Filling(kind="rating"), Filling(kind="correction")]


def last(database: Database, name: str) -> Annotation:
    return rows(database, name=name)[-1]


def in_force(database: Database, name: str) -> list[Annotation]:
    told = rows(database, name=name)
    superseded = {row.supersedes for row in told}
    return [row for row in told if row.action == "answer" and row.id not in superseded]


def test_twenty_items_by_keyboard_with_an_undo_and_a_reload(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*ALL_KINDS * 5)
    with at_the_desk(browser, served, invite(database, served.settings, "Twenty")) as desk:
        for _ in range(7):
            desk.answer()
        desk.press("Backspace")  # the rating comes back, its levels still there
        desk.moved_on(desk.card)
        assert desk.kind == "rating"
        desk.read()
        desk.answer("Backspace", "1", "Enter")
        desk.read()
        desk.press("e", "Control+Home", "A", "h", "Escape")
        desk.page.reload()
        desk.read()
        assert desk.page.input_value("textarea").startswith("AhOnce")
        desk.answer("Control+Enter")
        for _ in range(12):
            desk.answer()
        desk.page.wait_for_selector(".nothing")
        assert desk.heard.trouble == []
    told = in_force(database, "Twenty")
    assert len(told) == 20
    assert len({row.item_id for row in told}) == 20
    assert [row.action for row in rows(database, name="Twenty")].count("undo") == 1
    assert told[6].decision["scores"]["creativity"] == 1
    assert told[7].decision["text"].startswith("AhOnce")
    assert all(250 <= row.milliseconds < 60_000 and row.page_version for row in told)


def test_what_is_chosen_is_what_was_on_that_side(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*[Filling(kind="choice")] * 5)
    decided = []
    with at_the_desk(browser, served, invite(database, served.settings, "Sides")) as desk:
        for key, place in (("ArrowLeft", 0), ("ArrowRight", 1), ("t", None), ("b", None), ("ArrowLeft", 0)):
            desk.read()
            decided.append(desk.shown[place] if place is not None else key)
            desk.answer(key)
    told = rows(database, name="Sides")
    assert [row.decision["winner"] for row in told[2:4]] == ["tie", "both_bad"]
    for said, row in zip(decided, told, strict=True):
        if said not in ("t", "b"):
            number = int(row.decision["winner"][-1])
            assert said.split() == STORIES[number].split()


def test_a_ranking_takes_ties_and_steps_back(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="ranking"))
    with at_the_desk(browser, served, invite(database, served.settings, "Ranks")) as desk:
        desk.read()
        desk.press("2", "4", "Backspace", "1", "=")
        assert desk.page.inner_text(".order").replace("  ", " ") == "2 = 1"
        desk.press("3")
        desk.press("Enter")
        desk.page.wait_for_selector(".nothing")
    row = last(database, "Ranks")
    assert row.decision["tiers"] == [sorted([row.sides[0], row.sides[1]]), [row.sides[2]], [row.sides[3]]]


def test_a_half_done_rating_survives_a_reload(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="rating"))
    with at_the_desk(browser, served, invite(database, served.settings, "Halves")) as desk:
        desk.read()
        desk.press("5", "4")
        desk.press("Enter")  # not whole yet: nothing happens
        desk.page.reload()
        desk.read()
        assert desk.page.get_attribute("[data-current]", "data-axis") == "choice_of_story"
        desk.answer("3", "2", "Enter")
    assert list(last(database, "Halves").decision["scores"].values()) == [5, 4, 3, 2]


def test_space_skips_with_a_reason_and_the_item_is_not_shown_again(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="choice"))
    with at_the_desk(browser, served, invite(database, served.settings, "Skips")) as desk:
        desk.read()
        desk.press("Space", "Escape", "Space", "2")
        desk.page.wait_for_selector(".nothing")
        assert [row.decision for row in rows(database, name="Skips")] == [{"reason": "not_my_language"}]
        desk.press("Backspace")
        desk.page.wait_for_selector("form.card")
        desk.answer("b")
    assert [row.action for row in rows(database, name="Skips")] == ["skip", "undo", "answer"]


def test_an_outage_loses_nothing_and_is_told(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*[Filling(kind="choice")] * 2)
    with at_the_desk(browser, served, invite(database, served.settings, "Outage")) as desk:
        desk.read()
        before = desk.card
        desk.page.context.set_offline(True)
        desk.press("ArrowRight")
        desk.page.get_by_text("Not sent yet").wait_for()
        assert desk.card == before
        desk.press("ArrowLeft")  # decided already: the first word counts
        desk.page.context.set_offline(False)
        desk.moved_on(before)
        assert desk.page.inner_text("#status") == ""
    (row,) = rows(database, name="Outage")
    assert row.decision["winner"] == row.sides[1]


def test_an_answer_whose_receipt_was_lost_is_stored_once(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*[Filling(kind="choice")] * 3)
    with at_the_desk(browser, served, invite(database, served.settings, "Resends")) as desk:
        desk.read()
        before = desk.card

        def swallow(route: Any) -> None:
            route.fetch()  # the server has it; the browser never hears so
            route.abort()

        desk.page.route("**/answers", swallow, times=1)
        desk.press("ArrowRight")
        desk.moved_on(before)
        desk.read()
        before = desk.card
        desk.page.route("**/answers", swallow, times=2)
        desk.press("ArrowLeft")
        desk.page.get_by_text("Not sent yet").wait_for()
        desk.page.reload()  # while it waits to be sent again
        desk.page.wait_for_function("() => !Object.keys(sessionStorage).some((name) => name.startsWith('outbox:'))")
        assert desk.card != before
    assert [row.decision["winner"] == row.sides[1] for row in rows(database, name="Resends")] == [True, False]


def test_an_answer_waits_for_a_reader_whose_session_ended(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="choice"))
    with at_the_desk(browser, served, invite(database, served.settings, "Ended")) as desk:
        desk.read()
        with database.session() as session:
            reviewers.revoke(session, "Ended")
        desk.press("ArrowLeft")
        desk.page.get_by_text("Your last answer is kept in this tab").wait_for()
        with database.session() as session:
            link = Gate(served.settings).invite_link(reviewers.admit(session, "Ended"))
        desk.page.goto(link)
        desk.page.get_by_role("button", name="Begin reading").click()
        desk.page.wait_for_selector(".nothing")
    assert [row.action for row in rows(database, name="Ended")] == ["answer"]


def test_a_long_correction_in_another_script_is_stored(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="correction"))
    text = "жил-был у бабушки " * 1_100
    with at_the_desk(browser, served, invite(database, served.settings, "Long")) as desk:
        desk.read()
        desk.page.fill("textarea", text)
        desk.press("Control+Enter")
        desk.page.wait_for_selector(".nothing")
    assert last(database, "Long").decision == {"text": text.strip()}


def test_two_quick_presses_answer_one_card(browser: Any, served: Served, database: Database, publish: Publish) -> None:
    publish(*[Filling(kind="choice")] * 3)
    with at_the_desk(browser, served, invite(database, served.settings, "Quick")) as desk:
        desk.read()
        before = desk.card
        desk.page.get_by_role("button", name="A is better").dblclick()
        desk.moved_on(before)
        desk.page.wait_for_timeout(300)
    assert len(rows(database, name="Quick")) == 1


def test_a_second_tab_is_told_that_the_card_is_answered(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*[Filling(kind="choice")] * 2)
    with at_the_desk(browser, served, invite(database, served.settings, "Tabs")) as desk:
        other = Desk(desk.page.context.new_page(), desk.heard)
        other.page.goto(served.address)
        other.read()
        assert other.card == desk.card
        desk.answer("ArrowLeft")
        other.answer("ArrowRight")
        assert "answer of yours already" in other.page.inner_text("#status")
        assert other.card == desk.card
    assert len(rows(database, name="Tabs")) == 1


def test_the_next_cards_are_there_before_they_are_needed(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*[Filling(kind="choice")] * 6)
    with at_the_desk(browser, served, invite(database, served.settings, "Ahead")) as desk:
        desk.read()
        assert desk.page.locator("#queue > template").count() == 4
        ahead = desk.page.evaluate("[...document.querySelectorAll('#queue > template')][1].dataset.assignment")
        desk.answer()
        assert desk.card == ahead
        assert desk.page.locator("#queue > template").count() == 4


def test_by_touch_on_a_phone(browser: Any, served: Served, database: Database, publish: Publish) -> None:
    publish(*ALL_KINDS)
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with at_the_desk(browser, served, invite(database, served.settings, "Thumb"), **phone) as desk:
        desk.read()
        assert desk.page.evaluate("document.documentElement.scrollWidth") == 360
        assert small_targets(desk) == []
        tap_through(desk)
        assert desk.heard.trouble == []
    kinds = [row.decision.keys() for row in in_force(database, "Thumb")]
    assert [next(iter(keys)) for keys in kinds] == ["winner", "tiers", "scores", "text"]


def tap_through(desk: Desk) -> None:
    page = desk.page
    page.get_by_role("button", name="Both bad").tap()
    page.locator("form.ranking").wait_for()
    for number in (2, 1, 4):
        page.locator(f".pick >> nth={number - 1}").tap()
    submit(desk)
    page.locator("form.rating").wait_for()
    for level in A_RATING:
        page.locator(f"[data-current] .level:has([value='{level}'])").tap()
    assert small_targets(desk) == []
    submit(desk)
    page.locator("form.correction").wait_for()
    page.locator("textarea").tap()
    page.keyboard.type("Better. ")
    submit(desk)
    page.wait_for_selector(".nothing")


def submit(desk: Desk) -> None:
    desk.read()
    desk.page.locator(".actions .button.main").tap()


def small_targets(desk: Desk) -> list[str]:
    """What can be tapped and is less than 44 pixels high or wide."""
    found: list[str] = desk.page.evaluate(
        """[...document.querySelectorAll("#desk button, #desk .level, header button")]
        .map((element) => [element.innerText, element.getBoundingClientRect()])
        .filter(([, box]) => box.width > 0 && (box.height < 44 || box.width < 44))
        .map(([text, box]) => `${text} ${box.width} x ${box.height}`)"""
    )
    return found


def test_every_control_has_a_name_and_the_focus_goes_in_reading_order(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*ALL_KINDS)
    with at_the_desk(browser, served, invite(database, served.settings, "Ears")) as desk:
        for kind in KEYS:
            desk.read()
            assert desk.kind == kind
            assert desk.page.evaluate("document.activeElement.tagName") == "H1"
            assert nameless(desk) == []
            assert is_in_order(desk)
            desk.answer()


def nameless(desk: Desk) -> list[str]:
    """Buttons, fields and radios without a name for a screen reader."""
    session = desk.page.context.new_cdp_session(desk.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "textbox", "radio", "link", "checkbox", "progressbar"}
    return [
        node["role"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in roles and not node.get("name", {}).get("value", "").strip()
    ]


def is_in_order(desk: Desk) -> bool:
    """Whether Tab from the heading goes on downwards through the document, to the card's last control."""
    tops = []
    for _ in range(30):
        desk.press("Tab")
        place = desk.page.evaluate(
            """() => { const all = [...document.querySelectorAll("#desk *")];
            return all.indexOf(document.activeElement); }"""
        )
        if place < 0:
            break
        tops.append(place)
    desk.page.evaluate("document.querySelector('#desk h1').focus()")
    return len(tops) > 1 and tops == sorted(tops)


def test_the_help_says_every_key_and_the_theme_is_kept(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(Filling(kind="choice"))
    with at_the_desk(browser, served, invite(database, served.settings, "Helped"), color_scheme="dark") as desk:
        desk.read()
        assert theme(desk) == "dark"
        desk.page.get_by_role("button", name="Light or dark").click()
        desk.page.reload()
        desk.read()
        assert theme(desk) == "light"
        desk.press("?")
        assert "undo" in desk.page.inner_text("dialog[open]")
        desk.press("ArrowLeft")  # behind the dialog nothing listens
        desk.press("?")
        assert desk.page.locator("dialog[open]").count() == 0
    assert rows(database, name="Helped") == []


def theme(desk: Desk) -> str:
    return str(desk.page.evaluate("document.documentElement.dataset.theme"))


def test_the_page_tells_nothing_of_where_an_answer_comes_from(
    browser: Any, served: Served, database: Database, publish: Publish
) -> None:
    publish(*ALL_KINDS)
    with at_the_desk(browser, served, invite(database, served.settings, "Blind")) as desk:
        source = desk.page.content() + json.dumps(desk.page.evaluate("document.querySelector('#queue').innerHTML"))
    with database.reading() as session:
        named = {shown.generation.id for item in session.query(Item) for shown in item.shown}
    for secret in ("finetuned", "secret-judge", "gold", *named):
        assert secret not in source
