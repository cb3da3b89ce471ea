import json
import math
from typing import Any

import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.task_scores import HEADLINE, compare, labels_of, score

pytestmark = pytest.mark.usefixtures("workspace")

DRAWN = Bootstrap(resamples=200, confidence=0.95, seed=1)


def _row(answer: str, *more: str, **other: Any) -> dict[str, Any]:
    return {
        "answer": answer,
        "references": json.dumps([answer, *more] if answer else []),
        "constraints": "{}",
        "group": "",
    } | other


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("summarization", {"rouge_1", "rouge_2", "rouge_l", "meteor"}),
        ("translation", {"chrf", "bleu"}),
        ("assistant", {"token_f1", "exact_match", "rouge_1", "rouge_2", "rouge_l"}),
    ],
)
def test_a_right_answer_has_full_marks_and_an_interval(kind: str, names: set[str]) -> None:
    rows = [_row("the red dog ran home"), _row("a cat sat by the door", "another answer")]
    found = score(kind, rows, [row["answer"] for row in rows], bootstrap=DRAWN)
    assert set(found) == names
    assert HEADLINE[kind] in found
    best = 100 if kind == "translation" else 1
    assert all(s.low <= s.value + 1e-9 and s.high >= s.value - 1e-9 for s in found.values())
    assert found[HEADLINE[kind]].value == pytest.approx(best)


def test_classification_with_and_without_probabilities() -> None:
    rows = [_row("It is sad.", label="sad"), _row("It is proud.", label="proud")] * 10
    answers = ["it is SAD", "I think proud!"] * 10
    found = score("classification", rows, answers, probabilities=[[0.1, 0.9], [0.8, 0.2]] * 10, bootstrap=DRAWN)
    assert {name: s.value for name, s in found.items()} == {"macro_f1": 1, "accuracy": 1, "roc_auc": 1}
    assert "roc_auc" not in score("classification", rows, answers, bootstrap=DRAWN)
    one = score(
        "classification", rows[:1], answers[:1], probabilities=[[0.5, 0.5]], labels=["proud", "sad"], bootstrap=DRAWN
    )
    assert set(one) == {"macro_f1", "accuracy"}


def test_an_answer_that_names_two_labels_names_none() -> None:
    assert labels_of(["sad or proud", "unsaddled", "", "Sad"], [], ["sad", "proud"]) == ["", "", "", "sad"]


def test_story_requests_are_scored_by_what_they_asked_for() -> None:
    rows = [_row("a story", constraints='{"words": ["dog"]}'), _row("blue"), _row("", constraints="{}")]
    found = score("assistant", rows, ["The dogs.", "red", "anything"], bootstrap=DRAWN)
    assert found["constraints_met"].value == 1
    assert found["token_f1"].value == 0  # of the one row with a reference and without constraints


def test_a_story_that_was_asked_for_without_constraints_has_no_one_right_answer() -> None:
    rows = [_row("Once there was a hen.", aspect="story"), _row("blue", aspect="question")]
    found = score("assistant", rows, ["There was a fox.", "blue"], bootstrap=DRAWN)
    assert found["token_f1"].value == 1
    assert "constraints_met" not in found


def test_nothing_to_score_gives_no_figure() -> None:
    assert score("summarization", [], [], bootstrap=DRAWN) == {}
    assert score("translation", [_row("")], ["x"], bootstrap=DRAWN) == {}
    assert math.isnan(compare("translation", [_row("")], ["x"], ["y"], bootstrap=DRAWN).value)


def test_a_comparison_is_paired() -> None:
    rows = [_row(f"answer {at}") for at in range(20)]
    right = [row["answer"] for row in rows]
    gain = compare("assistant", rows, right, ["wrong"] * 20, bootstrap=DRAWN)
    assert (gain.value, gain.low, gain.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="unknown kind of task 'poetry'"):
        score("poetry", rows, right, bootstrap=DRAWN)
