"""Several answers to each training prompt, on file."""

import json
from pathlib import Path

import pytest

from tasks.judging.kept import read_items
from tasks.sample import SampleParams, sample
from tests.tasks import small
from tests.tasks.judging.test_answers import ANSWERING, KINDS

ANSWERS, METRICS = Path("data/sampled.jsonl"), Path("metrics/sample.json")


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()


def run() -> bytes:
    section = {
        "prompts": {"stories": 2, "others": 1, "kinds": KINDS}, "answers": 3, "threads": 1, "seed": 1,
        "answering": {**ANSWERING, "temperature": 1.0},
    }  # fmt: skip
    params = SampleParams.model_validate_json(json.dumps(section))
    sample(params, mixture=small.MIXTURE, model=small.BASE, answers=ANSWERS, metrics=METRICS)
    return ANSWERS.read_bytes()


def test_only_training_prompts_are_answered_each_several_times() -> None:
    run()
    items = read_items(ANSWERS)
    assert {item.prompt_id for item in items} < {row["id"] for row in small.rows("train")}
    assert [item.decoding["draw"] for item in items] == [0, 1, 2] * 5
    figures = json.loads(METRICS.read_text())
    assert (figures["prompts"], figures["answers"], figures["prompts_story"]) == (5, 15, 2)
    assert figures["distinct_answer_share"] == len({(item.prompt_id, item.answer) for item in items}) / 15


def test_the_same_bytes_again() -> None:
    assert run() == run()
