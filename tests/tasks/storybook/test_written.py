"""The stories written for this project: how many, how long, each its own, wholly annotated, a quarter held out."""

from collections import Counter

import pytest

from tasks.sources import BadRecords, StorybookSource, storybook_holdout
from tasks.storybook.acceptance import near_duplicate_share, numbered
from tasks.storybook.story import Story, written_stories


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return list(written_stories())


def test_there_are_enough_of_the_wanted_length(stories: list[Story]) -> None:
    lengths = {story.id: len(story.text.split()) for story in stories}
    assert len(lengths) == len(stories) >= 400
    assert {name: words for name, words in lengths.items() if not 120 <= words <= 200} == {}


def test_each_is_its_own(stories: list[Story]) -> None:
    assert near_duplicate_share(numbered(story.text for story in stories)) == 0
    beginnings = Counter(" ".join(story.text.split()[:8]) for story in stories)
    assert [text for text, count in beginnings.items() if count > 1] == []
    assert {len({getattr(story, field) for story in stories}) for field in ("title", "summary")} == {len(stories)}


def test_each_has_what_the_tasks_need(stories: list[Story]) -> None:
    for story in stories:
        answers = [question.answer for question in story.questions]
        assert any(answers), story.id
        assert None in answers, story.id
        assert len(story.words) == 3, story.id
        assert story.swedish, story.id
        for text in (story.moral, story.summary):
            assert text.strip() and "\n" not in text, story.id  # noqa: PT018 -- one line of words


def test_a_quarter_is_held_out_and_never_read_for_training(stories: list[Story]) -> None:
    held_out = {story.text.strip() for story in stories if story.split == "holdout"}
    assert len(held_out) * 4 >= len(stories)
    source = StorybookSource(name="storybook-written", kind="storybook", part="written", weight=1.0)
    trained = {record.text.strip() for record in source.read(BadRecords(stop=True, limit_bytes=1_000_000))}
    assert len(trained) + len(held_out) == len(stories)
    assert trained.isdisjoint(held_out)
    assert {(record.text.strip(), record.split) for record in storybook_holdout()} == {
        (text, "written") for text in held_out
    }
