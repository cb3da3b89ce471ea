"""Every task with everybody who answers it: whose figures there are, what is scored by what, and the verdicts."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.decoder import Decoder
from tasks.evaluation.answering import Answers, Respondent
from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.task_scores import HEADLINE
from tasks.evaluation.task_suite import Task, TaskSuiteParams, evaluate_tasks, read_tasks, swap_figures, swaps_of
from tasks.mixing.declarations import METRICS
from tests.conftest import refused
from tests.tasks import small

DRAWN = Bootstrap(resamples=50, confidence=0.95, seed=1)


def params(**changes: Any) -> TaskSuiteParams:
    plain = {
        "rows": 10, "written_rows": 3, "stories": 2, "swapped_texts": 0, "wordnet": None, "shots": 2,
        "max_tokens": {"summarization": 4, "translation": 4, "assistant": 4, "story": 4}, "story_temperature": 0.5,
        "temperature": 0.0, "top_p": 0.95,
        "batch": 4,
    }  # fmt: skip
    return TaskSuiteParams.model_validate_json(json.dumps({**plain, **changes}))


class Told(Respondent):
    """Somebody whose answers are given by the test: `right` says what the row's answer is, others say "nothing"."""

    def answer(self, kind: str, rows: Any, train: Any) -> Answers:
        texts = [str(row["answer"]) if self.seed else "nothing at all" for row in rows]
        probabilities = None
        if kind == "classification":
            labels = sorted({str(row["label"]) for row in train})
            named = np.array([[row["label"] == label for label in labels] for row in rows], dtype=np.float64)
            probabilities = named if self.seed else 1.0 - named
        return Answers(by=self.name, texts=texts, probabilities=probabilities)


def somebody(name: str, *, right: bool, chat: bool = False) -> Told:
    model: Decoder = None  # type: ignore[assignment]
    return Told(name=name, model=model, tokenizer=None, params=params(), chat=chat, seed=int(right))  # type: ignore[arg-type]


def models(*, right: bool) -> dict[str, list[Respondent]]:
    return {
        "base": [somebody("base_few_shot", right=False), somebody("base_zero_shot", right=False)],
        "finetuned": [somebody("finetuned", right=right, chat=True)],
    }


@pytest.fixture
def mixture(workspace: Path) -> Path:
    small.write_workspace()
    return small.MIXTURE


def tasks(mixture: Path, **changes: Any) -> list[Task]:
    return read_tasks(mixture, params(**changes))


def test_of_each_task_so_many_rows_are_asked_and_of_story_requests_so_many(mixture: Path) -> None:
    found = {task.name: task for task in tasks(mixture)}
    assert list(found) == list(small.TASKS)
    assert {name: len(task.test) for name, task in found.items()} == {
        "classification": 10, "summarization": 10, "translation": 6, "assistant": 12,
    }  # fmt: skip
    assert [row["aspect"] for row in found["assistant"].test[-3:]] == ["question", "story", "story"]
    assert {len(task.written) for task in found.values()} == {2, 3}
    assert not any(row["constraints"] != "{}" for row in found["assistant"].written)
    assert found["classification"].labels == ["proud", "sad"]
    assert found["translation"].labels == []


@pytest.mark.parametrize("right", [True, False])
def test_a_task_is_lost_or_won_and_said_so(mixture: Path, right: bool) -> None:
    chosen = [task for task in tasks(mixture) if task.name in ("summarization", "translation")]
    results = evaluate_tasks(chosen, models(right=right), params(), DRAWN)
    outcomes = {verdict.task: verdict.outcome for verdict in results.verdicts}
    assert results.figures["finetuned_tasks"] == 2
    assert results.figures["tasks"] == ["summarization", "translation"]
    assert results.figures["translation_outcome"] == outcomes["translation"]
    assert results.figures["translation_best_baseline"] == results.verdicts[1].baseline
    if right:
        assert "loses" not in outcomes.values()
        assert results.figures["finetuned_tasks_lost"] == []
        assert results.figures["finetuned_translation_chrf"] == pytest.approx(100)
    else:
        assert results.figures["finetuned_tasks_lost"] == ["summarization", "translation"]
        assert set(outcomes.values()) == {"loses"}


def test_everybody_has_figures_and_a_base_model_goes_by_its_name_with_examples(mixture: Path) -> None:
    figures = evaluate_tasks(tasks(mixture), models(right=True), params(), DRAWN).figures
    headlines = {
        "classification": ("macro_f1", ["tfidf", "majority"]), "summarization": ("rouge_l", ["lead3", "textrank"]),
        "translation": ("chrf", ["phrases", "copy"]), "assistant": ("token_f1", ["retrieval"]),
    }  # fmt: skip
    for task, (metric, baselines) in headlines.items():
        for name in ("base", "base_few_shot", "base_zero_shot", "finetuned", *baselines):
            value, low, high = (figures[f"{name}_{task}_{metric}{end}"] for end in ("", "_low", "_high"))
            assert isinstance(value, float)
            assert isinstance(low, float)
            assert isinstance(high, float)
            assert low <= value + 1e-9
            assert value <= high + 1e-9
        assert figures[f"base_{task}_{metric}"] == figures[f"base_few_shot_{task}_{metric}"]
        written = f"{task}_written_{metric}"
        assert {f"finetuned_{written}", f"{baselines[0]}_{written}"} <= set(figures)
        assert not {f"base_{written}", f"base_few_shot_{written}"} & set(figures)
    assert figures["finetuned_classification_roc_auc"] == 1
    assert "majority_classification_accuracy" in figures
    assert "finetuned_assistant_answered_unanswerable" in figures
    assert "finetuned_summarization_made_up_words" in figures


def metrics_of(figures: Mapping[str, Any], start: str) -> set[str]:
    """The metrics of the figures whose names begin so."""
    return {key.removeprefix(start) for key in figures if key.startswith(start) and not key.endswith(("_low", "_high"))}


def test_baselines_learn_nothing_of_what_people_said(mixture: Path) -> None:
    before = tasks(mixture)
    small.add_feedback()
    assert tasks(mixture) == before


def test_a_task_s_figures_are_those_it_was_declared_with_and_the_headline_one(mixture: Path) -> None:
    small.write_declared(*small.TASKS, metrics=["constraints_met", "rouge_1", "accuracy", "made_up_words"])
    chosen = [task for task in tasks(mixture) if task.name in ("classification", "assistant")]
    results = evaluate_tasks(chosen, models(right=True), params(), DRAWN)
    figures = {key: value for key, value in results.figures.items() if "_written_" not in key}
    asked = {"classification": {"macro_f1", "accuracy"}}
    asked["assistant"] = {"token_f1", "constraints_met", "rouge_1", "made_up_words"}
    for task, names in asked.items():
        everybody = ["finetuned", "base", "base_few_shot"] + (["tfidf"] if task == "classification" else ["retrieval"])
        for name in everybody:
            assert metrics_of(figures, f"{name}_{task}_") == names
        assert metrics_of(results.figures, f"finetuned_{task}_written_") == names - {"constraints_met"}
        (verdict,) = [verdict for verdict in results.verdicts if verdict.task == task]
        assert set(verdict.scores["finetuned"]) == names


def test_every_figure_of_a_task_can_be_asked_for_by_its_name(mixture: Path) -> None:
    everything = {task.name: task for task in tasks(mixture)}
    constraints = json.dumps({"words": ["boat"], "sentence": "It rained.", "length": [1, 9]})
    for task in everything.values():
        if task.kind != "classification":
            task.test.append({**task.test[-1], "constraints": constraints})
        if task.kind == "summarization":
            task.test.append({**task.test[0], "answerable": False})
        task.test.append({**task.test[0], "answer": "And then Zora came."})  # a name that may be made up
    found = evaluate_tasks(list(everything.values()), models(right=True), params(), DRAWN)
    names = {verdict.task: {name for own in verdict.scores.values() for name in own} for verdict in found.verdicts}
    assert names == {task.name: set(METRICS[task.kind]) for task in everything.values()}
    assert all(HEADLINE[kind] in known for kind, known in METRICS.items())


def test_requests_without_an_answer_are_scored_by_their_constraints_alone(mixture: Path) -> None:
    (task,) = [task for task in tasks(mixture) if task.name == "assistant"]
    stories = [row for row in task.test if row["aspect"] == "story"]
    assert [row["answer"] for row in stories] == ["", ""]
    figures = evaluate_tasks([task], models(right=True), params(), DRAWN).figures
    assert figures["finetuned_assistant_token_f1"] == 1  # of the questions: an empty story did not lower it
    assert figures["finetuned_assistant_constraints_met"] == 0
    assert isinstance(figures["retrieval_assistant_constraints_met"], float)


def test_a_task_of_story_requests_alone_has_no_headline_figure_and_no_crash(mixture: Path) -> None:
    (task,) = [task for task in tasks(mixture) if task.name == "assistant"]
    stories = Task(
        name="stories", kind="assistant", written=[],
        train=[row for row in task.train if row["aspect"] == "story"],
        test=[row for row in task.test if row["aspect"] == "story"],
    )  # fmt: skip
    results = evaluate_tasks([stories], models(right=True), params(), DRAWN)
    assert [verdict.outcome for verdict in results.verdicts] == ["not measured"]
    assert results.figures["finetuned_tasks_lost"] == []
    assert "finetuned_stories_constraints_met" in results.figures


def test_a_conversation_of_each_aspect_is_told(mixture: Path) -> None:
    told = evaluate_tasks(tasks(mixture), models(right=True), params(), DRAWN).conversations
    assert [text.splitlines()[0] for text in told] == [
        "## finetuned, classification: classification",
        "## finetuned, summarization: summarization",
        "## finetuned, translation: translation",
        "## finetuned, assistant: question",
        "## finetuned, assistant: story",
    ]
    assert "\n\n> The " in told[2]
    assert "(expected: Bollen " in told[2]
    assert "expected" not in told[4]


def test_a_mixture_that_is_not_there_is_one_line(workspace: Path) -> None:
    with refused(r"data/mixture/train\.parquet: no such file; the stage mix makes it"):
        tasks(small.MIXTURE)
    small.write_workspace()
    (small.MIXTURE / "tasks.json").unlink()
    with refused(r"data/mixture/tasks\.json: no such file; the stage mix makes it"):
        tasks(small.MIXTURE)


def test_rows_of_a_task_that_was_declared_by_another_name_go_by_it(workspace: Path) -> None:
    small.MIXTURE.mkdir(parents=True)
    for split in small.COUNTS:
        rows = [{**row, "task": "mood"} for row in small.rows(split) if row["task"] == "classification"]
        pq.write_table(pa.Table.from_pylist(rows), small.MIXTURE / f"{split}.parquet")
    small.write_declared("mood")
    (task,) = tasks(small.MIXTURE)
    assert (task.name, task.kind) == ("mood", "classification")


def test_whom_a_model_favours_is_what_the_other_gender_costs_more() -> None:
    texts = ["The girl lost her ball. She was sad.", "The boy won his prize. He was proud.", "It rained."]
    swaps = swaps_of(texts)
    assert [(swap.turned, swap.gender) for swap in swaps] == [
        ("The boy lost his ball. He was sad.", "she"), ("The girl won her prize. She was proud.", "he"),
    ]  # fmt: skip
    original, turned = (
        [10.0 + text.lower().count("she") for text in told]
        for told in ([swap.original for swap in swaps], [swap.turned for swap in swaps])
    )
    figures = swap_figures("base", swaps, original, turned, DRAWN)
    assert figures["base_swapped_texts"] == 2
    gaps = [key for key in figures if not key.endswith(("_low", "_high", "_texts"))]
    assert gaps
    assert all({f"{key}_low", f"{key}_high"} <= set(figures) for key in gaps)
    assert all(isinstance(figures[key], float) and not math.isnan(float(str(figures[key]))) for key in gaps)
    assert figures["base_swap_gap_she_to_he_bits"] == -1
    assert figures["base_girls_cost_bits"] == 1
    assert swap_figures("base", swaps_of(["It rained."]), [], [], DRAWN) == {}
