"""Requests for the story that begins with a sentence: of any clean text, in the splits that it has there."""

from pathlib import Path

import pytest

from tasks.mixing.declarations import StorybookSource, TaskParams
from tasks.mixing.storybook import read_stories, storybook_examples
from tasks.records import Record, write_records
from tests.tasks.mixing.small import CLEAN, checked, parameters, story

OPENINGS = {
    "kind": "storybook", "name": "openings", "view": "opening",
    "templates": ["Write a story with this sentence: {sentence}"],
}  # fmt: skip
PLAIN = {
    "train": "Tom had a small red boat in the bath. It sank! He cried.",
    "validation": "Oh! No.",
    "test": "Once upon a time, there was a big dog. It ran.",
    "written": '"Come here," said Mum in the garden. Sam came.',
}


def plain(text: str) -> Record:
    return Record(text=text, source="tests", licence="CC0-1.0", group="", weight=1.0, annotations="{}")


@pytest.fixture(autouse=True)
def clean(workspace: Path) -> None:
    for number, (split, text) in enumerate(PLAIN.items()):
        write_records(CLEAN / f"{split}.parquet", [plain(text), story(number)])


def source(**changes: object) -> tuple[StorybookSource, TaskParams]:
    params = checked(parameters(tasks=[{"name": "assistant", "kind": "assistant", "sources": [OPENINGS | changes]}]))
    found = params.tasks[0].sources[0]
    assert isinstance(found, StorybookSource)
    return found, params.tasks[0]


def test_each_text_that_begins_with_a_whole_sentence_is_asked_for_by_it() -> None:
    opening, task = source()
    examples, available = storybook_examples(read_stories(CLEAN, plain=True), opening, task, checked(parameters()))
    asked = {
        example.split: (example.prompt, example.answer) for example in examples if example.answer in PLAIN.values()
    }
    assert asked["train"] == (
        "Write a story with this sentence: Tom had a small red boat in the bath.", PLAIN["train"],
    )  # fmt: skip
    assert asked["test"][0].endswith(": Once upon a time, there was a big dog.")
    assert "validation" not in asked, "'Oh!' says too little"
    assert available == len(examples)
    assert all(example.constraints == {"sentence": example.asked[0]} for example in examples)


def test_views_of_annotations_pass_over_a_text_without_any() -> None:
    words, task = source(view="story", templates=["Write a story with the words {words}."])
    stories = read_stories(CLEAN, plain=True)
    examples, _ = storybook_examples(stories, words, task, checked(parameters()))
    assert len(stories) == 2 * len(PLAIN)
    assert len(examples) == len(PLAIN)
    assert read_stories(CLEAN) == [one for one in stories if one.about]
