"""The verdict on a task, the table that people read, and the picture's rows."""

import csv
import math
from typing import Any

import pytest

from tasks.evaluation.intervals import Score
from tasks.evaluation.task_table import Verdict, markdown, plot


def near(value: float) -> Score:
    return Score(value=value, low=value - 0.02, high=value + 0.02)


def verdict(model: float, baseline: float, *, sure: bool = True, metric: str = "macro_f1", **more: Any) -> Verdict:
    ahead, spread = model - baseline, 0.0 if sure else 1.0
    return Verdict(
        task="feelings", metric=metric, model="finetuned", baseline="tfidf",
        ahead=Score(value=ahead, low=ahead - spread, high=ahead + spread),
        scores={
            "tfidf": {metric: near(baseline)},
            "finetuned": {metric: near(model), "accuracy": near(0.25)},
            "base_few_shot": {metric: near(0.1)},
            **more,
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (verdict(0.8, 0.7), "wins"),
        (verdict(0.8, 0.7, sure=False), "level"),
        (verdict(0.7, 0.8), "loses"),
        (verdict(0.7, 0.8, sure=False), "loses"),  # by chance or not, it is below
        (verdict(0.95, 0.99), "level"),  # both are good enough
        (verdict(0.94, 0.99), "loses"),
        (verdict(94.0, 99.0, metric="chrf"), "loses"),  # of a hundred
        (verdict(95.0, 99.0, metric="chrf"), "level"),
    ],
)
def test_when_a_task_is_won_or_lost(told: Verdict, outcome: str) -> None:
    assert told.outcome == outcome


def test_the_table_marks_what_is_lost_and_shows_everybody_the_best_first() -> None:
    text = markdown([verdict(0.7, 0.8), verdict(0.8, 0.7)], confidence=0.9)
    assert "| task | by | figures (90 % intervals by bootstrap) |" in text
    lines = text.splitlines()
    assert lines[4] == (
        "| feelings | macro_f1 | finetuned 0.700 [0.680, 0.720] | tfidf 0.800 [0.780, 0.820] "
        "| -0.100 [-0.100, -0.100] | **loses** |"
    )
    assert lines[5].endswith("| wins |")
    named = [line.split("|")[2].strip() for line in lines if line.startswith("| feelings |")][2:]
    assert named == ["tfidf", "finetuned", "base_few_shot", "finetuned", "tfidf", "base_few_shot"]
    assert "macro_f1 0.700 [0.680, 0.720]; accuracy 0.250 [0.230, 0.270] |" in text
    assert verdict(0.7, 0.8).line() == ("feelings: loses; macro_f1 0.700 [0.680, 0.720], tfidf 0.800 [0.780, 0.820]")


def test_beside_meteor_stands_what_it_matches() -> None:
    note = "METEOR matches exact words and stems, and synonyms only where `evaluate.tasks.wordnet` names a WordNet.\n"
    told = markdown(
        [verdict(0.2, 0.1, metric="rouge_l", lead3={"rouge_l": near(0.1), "meteor": near(0.2)})], confidence=0.95
    )
    assert told.endswith(f" |\n\n{note}")
    assert "METEOR" not in markdown([verdict(0.7, 0.8)], confidence=0.95)


def test_the_plot_has_shares_of_the_best_there_can_be() -> None:
    rows = list(csv.DictReader(plot([verdict(40.0, 30.0, metric="chrf")]).splitlines()))
    assert [(row["name"], row["by"], float(row["share"])) for row in rows] == [
        ("feelings: finetuned", "finetuned", 0.4),
        ("feelings: tfidf", "tfidf", 0.3),
        ("feelings: base_few_shot", "base_few_shot", 0.001),
    ]


def test_a_headline_figure_that_no_row_asks_for_is_said_and_not_made_up() -> None:
    nothing = Score(value=math.nan, low=math.nan, high=math.nan)
    told = Verdict(
        task="stories", metric="token_f1", model="finetuned", baseline="retrieval", ahead=nothing,
        scores={"finetuned": {"constraints_met": near(0.5)}, "retrieval": {"constraints_met": near(0.4)}},
    )  # fmt: skip
    assert told.outcome == "not measured"
    assert told.line() == "stories: not measured; token_f1 -, retrieval -"
    text = markdown([told], confidence=0.95)
    assert "| stories | token_f1 | finetuned - | retrieval - | - | not measured |" in text
    assert "| stories | finetuned | constraints_met 0.500 [0.480, 0.520] |" in text
    assert plot([told]).splitlines() == ["name,task,by,metric,share"]
