"""Where an answer begins in what is read."""

import pytest

from tasks.judging.heuristic.reading import MOST_CHARACTERS, is_request, read
from tests.tasks.judging.heuristic.small import item


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a story about sharing.",
        "Please tell me a tale",
        "Can you make up a story?",
        "Story:",
        "A story with a cat.",
    ],
)
def test_requests(prompt: str) -> None:
    assert is_request(prompt)
    assert read(item("Tom ran.", prompt=prompt)).whole == "Tom ran."


@pytest.mark.parametrize(
    ("opening", "answer", "whole", "first"),
    [
        ("Once upon a time", ", there was a fox.", "Once upon a time, there was a fox.", 3),
        ("Once upon a time", "there was a fox.", "Once upon a time there was a fox.", 4),
        ("Once upon a time", " there was a fox.", "Once upon a time there was a fox.", 4),
        ("The fox ran.", '"Stop!" said Tom.', 'The fox ran. "Stop!" said Tom.', 3),
    ],
)
def test_an_opening_and_what_goes_on_are_one_text(opening: str, answer: str, whole: str, first: int) -> None:
    reading = read(item(answer, prompt=opening))
    assert reading.whole == whole
    assert reading.first_word == first
    assert reading.answer == answer.strip()


def test_a_task_is_read_alone_and_a_long_answer_in_part() -> None:
    assert read(item("cherries", prompt="Tom ate", kind="assistant")).whole == "cherries"
    assert len(read(item("word " * 20_000)).whole) <= MOST_CHARACTERS


@pytest.mark.parametrize("answer", ["Tom ran.", 'He said, "Come!"', "They slept (at last).", "They slept.\n\nThe End"])
def test_a_story_is_over_with_its_last_sentence(answer: str) -> None:
    assert not read(item(answer)).breaks_off


@pytest.mark.parametrize("answer", ["Tom ran and", "Tom ran. He saw a", "Tom ran,", "Tom ran to the end of"])
def test_a_story_breaks_off_inside_a_sentence(answer: str) -> None:
    assert read(item(answer)).breaks_off
