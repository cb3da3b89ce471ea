"""The outcomes of the tasks, read back from the metrics that the stage evaluate writes."""

from collections.abc import Sequence
from pathlib import Path

from tasks.evaluation import task_table
from tasks.evaluation.intervals import Score
from tasks.evaluation.task_table import Verdict
from tasks.outcomes import read_outcomes
from tasks.stage import write_metrics


def score(value: float) -> Score:
    return Score(value=value, low=value - 0.01, high=value + 0.01)


def verdict(task: str, metric: str, model: float, baseline: float, *, measured: str | None = None) -> Verdict:
    figures = {"finetuned": model, "base_few_shot": baseline / 2, "tfidf": baseline}
    scores = {name: {measured or metric: score(value)} for name, value in figures.items()}
    ahead = score(model - baseline)
    return Verdict(task=task, metric=metric, model="finetuned", baseline="tfidf", ahead=ahead, scores=scores)


def written(folder: Path, verdicts: Sequence[Verdict]) -> Path:
    """The metrics file of the verdicts, as `evaluate` writes it."""
    figures = {
        f"{name}_{one.task}_{metric}": value.value
        for one in verdicts
        for name, found in one.scores.items()
        for metric, value in found.items()
    }
    facts = {key: value for one in verdicts for key, value in one.facts.items()}
    write_metrics(folder / "evaluate.json", {**figures, **facts, "tasks": [one.task for one in verdicts]})
    return folder / "evaluate.json"


def test_what_evaluate_wrote_is_read_back_in_its_order(tmp_path: Path) -> None:
    verdicts = [
        verdict("swedish", "chrf", 30.0, 40.0),
        verdict("feelings", "macro_f1", 0.7, 0.5),
        verdict("stories", "token_f1", 0.7, 0.5, measured="constraints_met"),
    ]
    found = read_outcomes(written(tmp_path, verdicts))
    assert [outcome.line for outcome in found] == [
        "loses: chrf 30.0, tfidf 40.0",
        "wins: macro_f1 0.700, tfidf 0.500",
        "not measured: token_f1 -, tfidf -",
    ]
    assert [outcome.outcome for outcome in found] == [one.outcome for one in verdicts]


def test_it_is_told_as_in_the_table(tmp_path: Path) -> None:
    verdicts = [verdict("swedish", "chrf", 30.06, 40.04), verdict("feelings", "macro_f1", 0.70049, 0.5006)]
    table = task_table.markdown(verdicts, confidence=0.95).splitlines()
    for outcome, line in zip(read_outcomes(written(tmp_path, verdicts)), table[4:6], strict=True):
        assert line.startswith(f"| {outcome.task} | {outcome.metric} | {outcome.model} [")
        assert f"] | {outcome.baseline} [" in line


def test_others_are_told_with_as_many_digits(tmp_path: Path) -> None:
    (found,) = read_outcomes(written(tmp_path, [verdict("swedish", "chrf", 30.0, 40.0)]))
    metrics = {"base_few_shot_swedish_chrf": 12.345, "tfidf_swedish_written_chrf": 7.06}
    assert found.told(metrics, "base_few_shot") == "12.3"
    assert found.told(metrics, "tfidf", of="written") == "7.1"
    assert found.told(metrics, "copy") == "-"


def test_without_metrics_or_without_tasks_there_are_no_outcomes(tmp_path: Path) -> None:
    assert read_outcomes(tmp_path / "none.json") == []
    write_metrics(tmp_path / "evaluate.json", {"base_test_bits_per_byte": 1.0})
    assert read_outcomes(tmp_path / "evaluate.json") == []
