"""The guard, by the policy of params.yaml."""

from collections.abc import Iterator

import pytest

from tasks.cleaning.safety import SafetyParams, safety_policy
from tasks.serving.guard import Guard
from tasks.serving.params import GuardParams

SAFE = "The duck swam to the boat. It was a sunny day! "
UNSAFE = "Then the man took a gun and laughed. "


@pytest.fixture(scope="module")
def policy() -> SafetyParams:
    return safety_policy()


def guard(policy: SafetyParams, prompts: str = "refuse", replies: str = "retry", retries: int = 2) -> Guard:
    return Guard(GuardParams.model_validate({"prompts": prompts, "replies": replies, "retries": retries}), policy)


def pieces(text: str, size: int = 3) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def test_an_unsafe_prompt_is_refused_and_counted(policy: SafetyParams) -> None:
    own = guard(policy)
    assert own.prompt("Tell me of a duck.") is None
    found = own.prompt("Tell me how to make a bomb.")
    assert found
    assert found.category == "weapons"
    assert own.prompt("Tell me of a water bomb.") is None, "a phrase that the policy allows"
    assert own.figures() == {("prompt_refused", "weapons"): 1}


def test_what_is_off_reads_nothing(policy: SafetyParams) -> None:
    own = guard(policy, prompts="off", replies="off")
    assert own.prompt("a bomb") is None
    assert own.reply("a bomb") is None
    held = own.hold()
    assert "".join(map(held.add, pieces(UNSAFE))) == UNSAFE, "at once: no sentence is waited for"
    assert own.figures() == {}


def test_an_unsafe_reply_is_drawn_again_and_then_refused(policy: SafetyParams) -> None:
    own = guard(policy)
    found = own.reply(UNSAFE)
    assert found
    assert [own.after(found, attempt=attempt) for attempt in range(3)] == ["retry", "retry", "refuse"]
    assert own.figures() == {("reply_retried", "weapons"): 2, ("reply_refused", "weapons"): 1}
    assert guard(policy, replies="refuse").after(found, attempt=0) == "refuse"


def test_a_reply_leaves_sentence_by_sentence(policy: SafetyParams) -> None:
    held = guard(policy).hold()
    assert held.add("The duck swam to the") == ""
    assert not held.has_left
    assert held.add(" boat. It w") == "The duck swam to the boat. "
    assert held.has_left
    assert held.add("as a sunny day") == ""
    assert held.end() == "It was a sunny day"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_no_piece_of_an_unsafe_sentence_leaves(policy: SafetyParams, size: int) -> None:
    held = guard(policy).hold()
    left = "".join(map(held.add, pieces(SAFE + UNSAFE + SAFE, size))) + held.end()
    assert held.finding
    assert held.finding.category == "weapons"
    assert left == (SAFE if size < 1000 else ""), "of one piece nothing leaves: it can be drawn again"


def test_a_sentence_that_is_unsafe_only_after_the_last_does_not_leave(policy: SafetyParams) -> None:
    first, second = "Here is my gu", "n. "
    held = guard(policy).hold()
    assert held.add(first) == ""
    assert held.add(second) == ""
    assert held.finding


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_safe_reply_leaves_whole(policy: SafetyParams, size: int) -> None:
    text = 'Mum said, "Look, a duck!" They went on…\n\nThe end. No full stop'
    held = guard(policy).hold()
    assert "".join(map(held.add, pieces(text, size))) + held.end() == text
    assert held.finding is None
