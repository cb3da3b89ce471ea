"""The outcomes of the tasks, read back from the table that the stage evaluate writes."""

from pathlib import Path

from tasks.evaluation import task_table
from tasks.evaluation.intervals import Score
from tasks.evaluation.task_table import Verdict
from tasks.outcomes import read_outcomes


def score(value: float) -> Score:
    return Score(value=value, low=value - 0.01, high=value + 0.01)


def verdict(task: str, metric: str, model: float, baseline: float, *, measured: str | None = None) -> Verdict:
    figures = {"finetuned": model, "base_few_shot": baseline / 2, "tfidf": baseline}
    scores = {name: {measured or metric: score(value)} for name, value in figures.items()}
    ahead = score(model - baseline)
    return Verdict(task=task, metric=metric, model="finetuned", baseline="tfidf", ahead=ahead, scores=scores)


def test_what_evaluate_wrote_is_read_back(tmp_path: Path) -> None:
    verdicts = [
        verdict("feelings", "macro_f1", 0.7, 0.5),
        verdict("swedish", "chrf", 30.0, 40.0),
        verdict("stories", "token_f1", 0.7, 0.5, measured="constraints_met"),
    ]
    path = tmp_path / "tasks.md"
    path.write_text(task_table.markdown(verdicts))

    found = read_outcomes(path)

    assert [outcome.line for outcome in found] == [
        "wins: macro_f1 0.700, tfidf 0.500",
        "loses: chrf 30.0, tfidf 40.0",
        "not measured: token_f1 -, tfidf -",
    ]
    assert [outcome.outcome for outcome in found] == [one.outcome for one in verdicts]


def test_others_are_told_with_as_many_digits(tmp_path: Path) -> None:
    path = tmp_path / "tasks.md"
    path.write_text(task_table.markdown([verdict("swedish", "chrf", 30.0, 40.0)]))
    (found,) = read_outcomes(path)
    metrics = {"base_few_shot_swedish_chrf": 12.345, "tfidf_swedish_written_chrf": 7.06}
    assert found.told(metrics, "base_few_shot") == "12.3"
    assert found.told(metrics, "tfidf", of="written") == "7.1"
    assert found.told(metrics, "copy") == "-"


def test_without_a_table_there_are_no_outcomes(tmp_path: Path) -> None:
    assert read_outcomes(tmp_path / "none.md") == []
