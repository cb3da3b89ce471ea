"""The chat page in a real Chromium, by keyboard and by pointer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps.serve.spoken import STORY, Spoken, served
from tests.apps.serve.talker import talking

pytestmark = [pytest.mark.browser, pytest.mark.server]

SLOW_S = 0.03  # a piece; STORY then takes about 1.6 s
HOSTILE = (Path(__file__).parents[1] / "review" / "xss.txt").read_text(encoding="utf-8").split("\n")


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    with served(Spoken()) as running:
        yield running


def test_an_answer_grows_while_it_is_made(browser: Any, spoken: Spoken) -> None:
    spoken.pause_s = SLOW_S
    with talking(browser, spoken.address) as talker:
        talker.say("Tell of an owl.", wait=False)
        talker.page.wait_for_function("() => document.querySelector('.reply .text').textContent.length > 10")
        assert len(talker.replies[0]) < len(STORY)
        talker.done()
        assert talker.replies == [STORY]
        assert talker.notes[0].startswith("53 tokens · ")
        assert talker.page.inner_text(".reply h2") == "fledgling/3"
        assert talker.heard.trouble == []


def test_a_conversation_goes_on_with_what_was_said(browser: Any, spoken: Spoken) -> None:
    spoken.answer = lambda body: f"I was told {len(body['messages'])}."
    with talking(browser, spoken.address) as talker:
        talker.say("One.")
        talker.say("Two.")
        assert talker.replies == ["I was told 1.", "I was told 3."]
        talker.page.reload()  # the conversation stays in this tab
        talker.say("Three.")
        assert talker.replies[-1] == "I was told 5."
    assert [message["role"] for message in spoken.asked[-1]["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert len({headers["x-conversation-id"] for headers in spoken.headers}) == 1


def test_an_answer_is_stopped_and_tried_again(browser: Any, spoken: Spoken) -> None:
    spoken.pause_s = SLOW_S
    with talking(browser, spoken.address) as talker:
        talker.say("Tell of an owl.", wait=False)
        talker.page.wait_for_function("() => document.querySelector('.reply .text').textContent.length > 10")
        talker.press("Escape")
        talker.done()
        assert STORY.startswith(talker.replies[0])
        assert talker.notes[0].endswith("stopped")
        spoken.pause_s = 0
        talker.press("r")
        talker.page.get_by_text("for a long time.").wait_for()
        talker.done()
        assert talker.replies == [STORY]
    assert spoken.left == 1
    assert [body["messages"] for body in spoken.asked] == [[{"role": "user", "content": "Tell of an owl."}]] * 2


def test_a_message_is_edited(browser: Any, spoken: Spoken) -> None:
    spoken.answer = lambda body: body["messages"][-1]["content"].upper()
    with talking(browser, spoken.address) as talker:
        for text in ("one", "two", "three"):
            talker.say(text)
        talker.press("ArrowUp", "Escape")  # it is left as it was
        talker.page.click(".exchange >> nth=1 >> .asked >> [data-do=edit]", force=True)
        assert talker.page.input_value(".editing textarea") == "two"
        talker.page.fill(".editing textarea", "four")
        talker.press("Enter")
        talker.page.wait_for_function("() => document.querySelectorAll('.exchange').length === 2")
        talker.done()
        assert (talker.asked, talker.replies) == (["one", "four"], ["ONE", "FOUR"])
    assert [message["content"] for message in spoken.asked[-1]["messages"]] == ["one", "ONE", "four"]


def test_an_answer_is_copied(browser: Any, spoken: Spoken) -> None:
    with talking(browser, spoken.address) as talker:
        talker.say("Tell of an owl.")
        talker.press("Escape", "c")
        talker.status("Copied.")
        assert talker.page.evaluate("navigator.clipboard.readText()") == STORY


def test_settings_go_with_every_request_and_survive_a_reload(browser: Any, spoken: Spoken) -> None:
    with talking(browser, spoken.address) as talker:
        talker.press("Escape", "s")
        for name, value in (("system", "Be brief."), ("temperature", "0"), ("seed", "7"), ("stop", "one\ntwo")):
            talker.page.fill(f"#settings-dialog [name={name}]", value)
        talker.page.click("#settings-dialog [value=close]")
        talker.page.reload()
        talker.say("Tell of an owl.")
        talker.press("Escape", "r")
        talker.page.wait_for_timeout(200)
        talker.done()
    assert spoken.asked[0] == {
        "model": "fledgling/3", "stream": True, "stream_options": {"include_usage": True},
        "temperature": 0, "seed": 7, "stop": ["one", "two"],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell of an owl."}],
    }  # fmt: skip
    assert spoken.asked[1]["seed"] == 8  # another try is another text


@pytest.mark.parametrize(
    ("preset", "filled", "asked"),
    [
        ("2", {"first": "kite", "second": "mud", "third": "gate"}, "Write a story with the words kite, mud, gate."),
        ("3", {"text": "A snail sat down."}, "A snail sat down.\n\nTell it in one sentence."),
        ("4", {"text": "A snail sat down."}, "In Swedish: A snail sat down."),
        ("5", {"text": "He hid {it} & $1."}, "He hid {it} & $1.\n\nWhich feeling?"),
    ],
    ids=["story", "summary", "translation", "label"],
)
def test_a_preset_asks_as_the_model_learnt_it(
    browser: Any, spoken: Spoken, preset: str, filled: dict[str, str], asked: str
) -> None:
    with talking(browser, spoken.address) as talker:
        talker.say("Hello.")
        talker.press("Escape", preset)
        for name, value in filled.items():
            talker.page.fill(f"fieldset:not([disabled]) [name={name}]", value)
        talker.press("Enter")
        talker.page.wait_for_function("() => document.querySelectorAll('.exchange').length === 2")
        talker.done()
        assert talker.asked[1] == asked
    assert spoken.asked[1]["messages"] == [{"role": "user", "content": asked}]  # on its own
    assert spoken.asked[1].get("labels", [])[:2] == (["angry", "curious"] if preset == "5" else [])


def test_two_versions_are_compared_blindly(browser: Any, spoken: Spoken) -> None:
    spoken.answer = lambda body: f"By {body['model'][-1]}."
    with talking(browser, spoken.address) as talker:
        talker.press("Escape", "b")
        talker.say("Who are you?")
        assert sorted(talker.replies) == ["By 2.", "By 3."]
        assert [heading.inner_text() for heading in talker.page.query_selector_all(".reply h2")] == ["A", "B"]
        assert talker.notes == ["", ""]
        right = talker.replies[1]
        talker.press("Escape", "ArrowRight")
        talker.page.wait_for_selector(".reply[data-chosen]")
        assert talker.page.inner_text(".reply[data-chosen] h2") == f"B · fledgling/{right[3]}"
        assert talker.page.inner_text(".reply[data-chosen] .text") == right
        talker.say("And now?")
        talker.press("Escape", "t")
        talker.page.wait_for_function("() => document.querySelectorAll('[data-vote]:not([hidden])').length === 0")
        talker.page.get_by_text("A · fledgling/").last.wait_for()
    assert spoken.asked[2]["messages"][1]["content"] == right  # it goes on from the better one
    better, tie = (said for _, said in spoken.said)
    assert (better["value"], tie["value"]) == ("better", "tie")
    assert int(better["reply_id"][-2:], 16) in (0, 1)
    assert {better["reply_id"][-1], better["other"][-1]} == {"0", "1"}


def test_thumbs_and_review_are_told(browser: Any, spoken: Spoken) -> None:
    with talking(browser, spoken.address) as talker:
        talker.say("Tell of an owl.")
        talker.press("Escape", "u", "v")
        talker.page.wait_for_selector("[data-do=review][aria-pressed=true]")
        talker.press("d")
        talker.page.wait_for_selector("[data-do=down][aria-pressed=true]")
        assert "thank you · sent to review" in talker.notes[0]
        spoken.refusal = (404, "nothing is recorded here", None)
        talker.press("u")
        talker.status("Not taken: nothing is recorded here")
        assert talker.page.get_attribute("[data-do=down]", "aria-pressed") == "true"
    name = f"chatcmpl-{0:024x}"
    assert spoken.said[:3] == [
        ("vote", {"reply_id": name, "value": "up"}),
        ("review", {"reply_id": name}),
        ("vote", {"reply_id": name, "value": "down"}),
    ]


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ((429, "All places are taken.", "rate_limit_exceeded"), "All places are taken."),
        ((400, "612 tokens are over 512.", "context_length_exceeded"), "612 tokens are over 512. · begin a new"),
        ((504, "It took too long.", None), "It took too long."),
    ],
    ids=["busy", "too-long", "too-slow"],
)
def test_what_the_server_refuses_is_said_and_tried_again(
    browser: Any, spoken: Spoken, refusal: tuple[int, str, str | None], told: str
) -> None:
    with talking(browser, spoken.address) as talker:
        talker.say("Hello.")
        spoken.refusal = refusal
        talker.say("Tell of an owl.")
        assert talker.notes[1].startswith(told)
        spoken.refusal = None
        talker.press("Escape", "r")
        talker.page.wait_for_function("() => document.querySelectorAll('.reply')[1].dataset.state === 'done'")
        assert talker.replies == [STORY, STORY]


def test_an_answer_that_breaks_off_is_told(browser: Any, spoken: Spoken) -> None:
    spoken.breaks_off = True
    with talking(browser, spoken.address) as talker:
        talker.say("Tell of an owl.")
        assert talker.replies == [STORY]
        assert talker.notes == ["The answer broke off: the connection was lost."]


def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Any, spoken: Spoken) -> None:
    with talking(browser, spoken.address) as talker:
        spoken.refusal = (401, "Which key?", "invalid_api_key")
        talker.say("Tell of an owl.")
        spoken.refusal = None
        talker.page.fill("[name=key]", "sesame")
        talker.page.click("#settings-dialog [value=close]")
        talker.press("Escape", "r")
        talker.page.wait_for_function("() => document.querySelector('.reply').dataset.state === 'done'")
        assert "sesame" not in talker.page.evaluate("JSON.stringify(localStorage)")
    assert spoken.headers[-1]["authorization"] == "Bearer sesame"


def test_no_text_runs(browser: Any, spoken: Spoken) -> None:
    spoken.answer = lambda body: body["messages"][-1]["content"]
    spoken.models = ("<img src=x onerror=alert(1)>", "<script>alert(1)</script>")
    text = "\n".join(line for line in HOSTILE if line)
    with talking(browser, spoken.address) as talker:
        talker.say(text)
        assert talker.page.text_content(".reply .text") == text.strip()
        assert talker.page.text_content(".asked .text") == text.strip()
        assert talker.page.evaluate("document.querySelectorAll('.text *, h2 *').length") == 0
        assert talker.heard.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_looks(browser: Any, spoken: Spoken, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with talking(browser, spoken.address, **phone) as talker:
        talker.page.tap("#beside")
        talker.page.fill("#text", "w" * 80)
        talker.page.tap("#send")
        talker.done()
        assert talker.page.evaluate("document.documentElement.scrollWidth") == 360
        assert talker.page.get_attribute("html", "data-theme") == scheme
        tops = talker.page.evaluate("[...document.querySelectorAll('.reply')].map(r => r.getBoundingClientRect().top)")
        assert tops[0] < tops[1]  # one below the other
