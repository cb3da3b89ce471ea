"""What the labelling judge leaves: grades, pairs and rankings of several answers to the same prompts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import label as stage
from tasks.judging.kept import write_lines
from tasks.judging.records import Item
from tasks.label import LabelParams, label
from tasks.stage import UserError
from tests.conftest import ROOT
from tests.tasks.judging import longest

ANSWERS, METRICS, LABELLED = Path("sampled.jsonl"), Path("metrics/label.json"), Path("labelled")


@pytest.fixture(autouse=True)
def made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "configured_judge", longest.opened)


def item(prompt: str, answer: str) -> Item:
    return Item(prompt_id=prompt, kind="story", prompt=f"Tell of {prompt}.", answer=answer, by="finetuned")


def run(items: list[Item]) -> dict[str, Any]:
    write_lines(ANSWERS, items)
    paths = {"judges": Path("judges"), "rubric": ROOT / "rubric.yaml", "verdicts": Path("verdicts")}
    label(LabelParams(judge="heuristic-a"), answers=ANSWERS, labelled=LABELLED, metrics=METRICS, **paths)
    return dict(json.loads(METRICS.read_text()))


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (LABELLED / f"{name}.jsonl").read_text().splitlines()]


def test_every_two_different_answers_to_a_prompt_are_compared_once() -> None:
    told = ["It ran.", "It ran off.", "It ran off.", "It hid!!"]
    figures = run([*(item("dogs", answer) for answer in told), item("cats", "Meow."), item("cats", "Meow, meow.")])
    assert figures["pairs"] == 3 + 1
    assert [pair["winner"] for pair in lines("pairs")] == ["second", "second", "first", "second"]
    ids = {line["item"] for line in lines("scores")}
    assert {side for pair in lines("pairs") for side in (pair["first"], pair["second"])} <= ids


def test_a_ranking_of_four_is_kept_as_tiers() -> None:
    told = ["aa", "b", "cc", "dddd", "eeeee"]
    run([item("dogs", answer) for answer in told])
    [ranking] = lines("rankings")
    names = {item("dogs", answer).id: answer for answer in told}
    assert [[names[one] for one in tier] for tier in ranking["tiers"]] == [["dddd"], ["aa", "cc"], ["b"]]


def test_a_failure_is_counted_and_has_no_number() -> None:
    figures = run([item("dogs", "It ran."), item("dogs", ""), item("dogs", "It sat still.")])
    assert figures["pair_coverage"] == pytest.approx(1 / 3)
    assert figures["score_coverage"] == pytest.approx(2 / 3)
    assert [pair["winner"] for pair in lines("pairs") if pair["status"] != "ok"] == [None, None]


def test_nothing_to_compare_is_one_line() -> None:
    with pytest.raises(UserError, match="no prompt has two different answers"):
        run([item("dogs", "It ran."), item("dogs", "It ran."), item("cats", "It sat.")])
