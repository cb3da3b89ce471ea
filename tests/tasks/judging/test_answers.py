"""The prompts that models are judged on, and their answers on file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.evaluation.answering import AnsweringParams
from tasks.judging.answers import PromptsParams, answers_of, read_prompts
from tasks.judging.kept import read_items, write_lines
from tasks.judging.records import Item
from tasks.stage import UserError
from tests.tasks import small

KINDS = ["summarization", "translation", "assistant"]
ANSWERING: dict[str, Any] = {
    "shots": 1, "max_tokens": {"summarization": 4, "translation": 4, "assistant": 4, "story": 6},
    "story_temperature": 1.0, "temperature": 0.0, "top_p": 1.0, "batch": 8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()
    torch.set_num_threads(1)


def prompts_params(**changes: Any) -> PromptsParams:
    return PromptsParams.model_validate_json(json.dumps({"stories": 3, "others": 2, "kinds": KINDS, **changes}))


def answering(**changes: Any) -> AnsweringParams:
    return AnsweringParams.model_validate_json(json.dumps({**ANSWERING, **changes}))


def test_requests_for_stories_come_first_and_the_first_split_before_the_next() -> None:
    found = read_prompts(small.MIXTURE, prompts_params(stories=4), splits=["written", "test"])
    assert [prompt.kind for prompt in found] == ["story"] * 4 + [kind for kind in KINDS for _ in range(2)]
    own = {row["id"] for row in small.rows("written")}
    stories = [prompt.id in own for prompt in found if prompt.kind == "story"]
    assert stories == sorted(stories, reverse=True)
    assert any(stories)
    assert not all(stories)
    assert found == read_prompts(small.MIXTURE, prompts_params(stories=4), splits=["written", "test"])


def test_fewer_are_the_first_of_more() -> None:
    few = read_prompts(small.MIXTURE, prompts_params(stories=2, others=1), splits=["test"])
    more = read_prompts(small.MIXTURE, prompts_params(), splits=["test"])
    assert {prompt.id for prompt in few} < {prompt.id for prompt in more}


def test_what_people_said_is_no_prompt_and_no_example() -> None:
    before = read_prompts(small.MIXTURE, prompts_params(stories=99, others=99), splits=["train"])
    small.add_feedback()
    assert read_prompts(small.MIXTURE, prompts_params(stories=99, others=99), splits=["train"]) == before


def test_an_item_holds_what_its_row_asks_for_and_how_it_was_drawn() -> None:
    [prompt] = read_prompts(small.MIXTURE, prompts_params(stories=1, others=0), splits=["test"])
    [item] = answers_of(small.BASE, [prompt], answering(), seed=7)
    assert (item.kind, item.part, item.by, item.prompt_id) == ("story", "story", "base", prompt.id)
    assert set(item.constraints) == {"words"}
    assert item.prompt.startswith("Write a story with the words boat")
    assert item.references == ()
    assert (item.decoding["seed"], item.decoding["story_temperature"], item.decoding["draw"]) == (7, 1.0, 0)


def test_each_draw_of_an_answer_is_its_own_and_comes_again() -> None:
    [prompt] = read_prompts(small.MIXTURE, prompts_params(stories=1, others=0), splits=["test"])
    drawn = answers_of(small.BASE, [prompt], answering(), seed=7, each=3, name="mine")
    assert len({item.answer for item in drawn}) == 3
    assert {item.by for item in drawn} == {"mine"}
    assert drawn == answers_of(small.BASE, [prompt], answering(), seed=7, each=3, name="mine")
    assert drawn[0] == answers_of(small.BASE, [prompt], answering(), seed=7, name="mine")[0]


def test_a_file_of_answers_is_read_as_it_was_written() -> None:
    items = answers_of(small.BASE, read_prompts(small.MIXTURE, prompts_params(), splits=["test"]), answering(), seed=1)
    write_lines(Path("answers.jsonl"), items)
    assert read_items(Path("answers.jsonl")) == items
    assert json.loads(Path("answers.jsonl").read_text().splitlines()[0])["id"] == items[0].id


def test_a_line_end_of_unicode_inside_an_answer_is_no_end_of_a_line() -> None:
    item = Item(prompt_id="1", kind="story", prompt="Tell.", answer="It ran.\u2028It hid.", by="base")
    write_lines(Path("answers.jsonl"), [item])
    assert read_items(Path("answers.jsonl")) == [item]


@pytest.mark.parametrize("line", ["no json", "[]", '{"id": "x"}', '{"id": "x", "references": []}'])
def test_a_line_that_is_no_answer_is_named(line: str) -> None:
    Path("answers.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"^answers.jsonl:1: not an answer as the stages write it"):
        read_items(Path("answers.jsonl"))


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^none.jsonl: can't be read: No such file"):
        read_items(Path("none.jsonl"))


def test_a_split_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"gone\.parquet: no such file; the stage mix makes it"):
        read_prompts(small.MIXTURE, prompts_params(), splits=["gone"])


def test_a_model_that_cannot_be_read_is_one_line() -> None:
    (small.BASE / "model.safetensors").write_bytes(b"broken")
    prompts = read_prompts(small.MIXTURE, prompts_params(), splits=["test"])
    with pytest.raises(UserError, match=r"^models/base holds no readable model"):
        answers_of(small.BASE, prompts, answering(), seed=1)
