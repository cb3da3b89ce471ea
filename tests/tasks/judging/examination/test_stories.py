import json
from pathlib import Path

import pytest

from tasks.judging.examination.stories import read_stories
from tasks.records import Record, write_records
from tasks.stage import UserError
from tests.tasks.judging.examination.fake import TEXT


def written(folder: Path, split: str, texts: list[str], **fields: str) -> Path:
    own = {"source": "tests", "licence": "CC0-1.0", **fields}
    write_records(folder / f"{split}.parquet", [Record(text=text, **own) for text in texts])
    return folder


def test_the_asked_words_are_those_of_the_annotations_else_rare_ones_of_the_story(tmp_path: Path) -> None:
    about = {
        "words": ["nest", "hat"],
        "summary": "A fox gets her hat back.",
        "questions": [{"question": "Who?", "answer": "a fox"}, {"question": "Why?", "answer": None}],
    }
    written(tmp_path, "test", [TEXT], annotations=json.dumps(about))
    texts = [f"Once there was a cat called Bo, and a {thing} lay on the table." for thing in ("kite", "lamp", "spoon")]
    written(tmp_path, "real", [f"{text} The {text.split()[9]} was new." for text in texts])
    annotated, *others = read_stories(tmp_path, ["test", "real"], most=10, seed=1)
    assert annotated.words == ("nest", "hat")
    assert annotated.questions == (("Who?", "a fox"),)
    assert annotated.item.constraints == {"words": ["nest", "hat"]}
    assert {thing for story in others for thing in story.words} >= {"kite", "lamp", "spoon"}
    assert all("once" not in story.words and story.meets_request(story.text) for story in others)


def test_stories_are_drawn_by_the_seed_and_the_written_split_is_by_hand(tmp_path: Path) -> None:
    texts = [f"{TEXT} It was the day number {number}." for number in range(30)]
    written(tmp_path, "test", texts)
    written(tmp_path, "written", texts[:3])
    found = read_stories(tmp_path, ["test", "written"], most=5, seed=1)
    assert [story.written_by_hand for story in found] == [False] * 5 + [True] * 3
    assert found == read_stories(tmp_path, ["test", "written"], most=5, seed=1)
    assert found != read_stories(tmp_path, ["test", "written"], most=5, seed=2)


def test_a_missing_split_and_empty_ones_are_named(tmp_path: Path) -> None:
    written(tmp_path, "test", [])
    with pytest.raises(UserError, match=r"none\.parquet: no such file; calibrate\.examination\.splits"):
        read_stories(tmp_path, ["test", "none"], most=5, seed=1)
    with pytest.raises(UserError, match="the splits test hold no story"):
        read_stories(tmp_path, ["test"], most=5, seed=1)
