"""How texts are laid out."""

import pytest

from apps.review.look import asked, paragraphs

STORY = "Once there was a mole who had a map of everything but the garden. " * 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("\n\n one \r\n \r\n\r\ntwo\r", [" one ", "two"]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_paragraphs_stand_between_empty_lines(text: str, found: list[str]) -> None:
    assert paragraphs(text) == found


def test_a_text_that_the_request_holds_is_shown_once() -> None:
    assert asked(f"{STORY}\n\nTell it in one sentence.", STORY) == ("Tell it in one sentence.", STORY)
    assert asked("In Swedish: The mole slept.", "The mole slept.") == ("In Swedish: The mole slept.", "")
    assert asked("Tell it in one sentence.", STORY) == ("Tell it in one sentence.", STORY)
    assert asked(STORY, STORY) == (STORY, "")
    assert asked("Write a story.", "") == ("Write a story.", "")
