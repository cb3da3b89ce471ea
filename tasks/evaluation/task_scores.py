"""What each kind of task is scored by: one call for a model's answers or a baseline's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.evaluation.intervals import Bootstrap, Floats, Measure, Score, difference
from tasks.evaluation.language import normalised, tokens

if TYPE_CHECKING:  # 4 s for an import that the processes of the models can do without
    from tasks.evaluation.task_metrics import TaskMetric

    _Step = tuple[TaskMetric, list[int], dict[str, Any], dict[str, Any]]  # metric, its rows, its inputs, its options

Row = Mapping[str, Any]  # a row of the mixture

HEADLINE = {
    "classification": "macro_f1",
    "summarization": "rouge_l",
    "translation": "chrf",
    "assistant": "token_f1",
}
STORY_ASPECTS = ("story", "opening")  # of requests for a whole story: the storybook's views, or a source's `aspect`


def score(
    kind: str,
    rows: Sequence[Row],
    answers: Sequence[str],
    *,
    probabilities: Sequence[Sequence[float]] | Floats | None = None,
    labels: Sequence[str] = (),
    bootstrap: Bootstrap,
    wordnet: Path | None = None,
) -> dict[str, Score]:
    """The figures of a task by name, with intervals drawn by group.

    probabilities: (rows, labels) of a classification, or None. Rows with constraints (story requests) are
    scored by them and not by their words; rows without a reference are left out where one is needed. A figure
    that cannot be had of these rows (ROC AUC of one class) is missing. Raises ValueError on an unknown kind.
    """
    found: dict[str, Score] = {}
    for metric, places, inputs, options in _plan(kind, rows, answers, probabilities, labels, wordnet):
        groups = [str(rows[at].get("group", "")) for at in places]
        figures = metric.compute(**inputs, **options, bootstrap=bootstrap, groups=groups)
        for name in (name for name in figures if not name.endswith(("_low", "_high"))):
            if not math.isnan(figures[name]):
                found[name] = Score(value=figures[name], low=figures[f"{name}_low"], high=figures[f"{name}_high"])
    return found


def compare(
    kind: str,
    rows: Sequence[Row],
    answers: Sequence[str],
    others: Sequence[str],
    *,
    labels: Sequence[str] = (),
    bootstrap: Bootstrap,
) -> Score:
    """How much the answers are above the others in the kind's headline figure, on the same rows (paired).

    An interval that holds 0 decides nothing. NaN where the headline figure cannot be had of these rows.
    """
    name = HEADLINE[kind]
    first, groups = _headline(kind, rows, answers, labels)
    second, _ = _headline(kind, rows, others, labels)
    if name not in first:
        return Score(value=math.nan, low=math.nan, high=math.nan)
    return difference(first[name], second[name], bootstrap, groups=groups)


def _headline(
    kind: str, rows: Sequence[Row], answers: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, Measure], list[str]]:
    for metric, places, inputs, options in _plan(kind, rows, answers, None, labels, None):
        measures = metric.measures(**inputs, **options)
        if HEADLINE[kind] in measures:
            return measures, [str(rows[at].get("group", "")) for at in places]
    return {}, []


def _plan(
    kind: str,
    rows: Sequence[Row],
    answers: Sequence[str],
    probabilities: Sequence[Sequence[float]] | Floats | None,
    labels: Sequence[str],
    wordnet: Path | None,
) -> list[_Step]:
    """The metrics of a kind with what each is given."""
    from tasks.evaluation.task_metrics import Bleu, ChrF, ConstraintsMet, ExactMatch, Meteor, Rouge, TokenF1

    if kind not in HEADLINE:
        raise ValueError(f"unknown kind of task '{kind}'; known: {', '.join(HEADLINE)}")
    if kind == "classification":
        return _classification(rows, answers, probabilities, labels)
    references = [references_of(row) for row in rows]
    asked = [at for at, row in enumerate(rows) if constraints_of(row)]
    scored = [at for at, row in enumerate(rows) if references[at] and not (kind == "assistant" and wants_a_story(row))]
    texts = {"predictions": [answers[at] for at in scored], "references": [references[at] for at in scored]}
    metrics: dict[str, list[tuple[type[TaskMetric], dict[str, Any]]]] = {
        "summarization": [(Rouge, {}), (Meteor, {"wordnet": wordnet})],
        "translation": [(ChrF, {}), (Bleu, {})],
        "assistant": [(TokenF1, {}), (ExactMatch, {}), (Rouge, {})],
    }
    steps: list[_Step] = [(metric(), scored, texts, options) for metric, options in metrics[kind] if scored]
    if asked:
        inputs = {
            "predictions": [answers[at] for at in asked],
            "references": [json.dumps(constraints_of(rows[at])) for at in asked],
        }
        steps.append((ConstraintsMet(), asked, inputs, {}))
    return steps


def _classification(
    rows: Sequence[Row],
    answers: Sequence[str],
    probabilities: Sequence[Sequence[float]] | Floats | None,
    labels: Sequence[str],
) -> list[_Step]:
    from tasks.evaluation.task_metrics import Accuracy, MacroF1, RocAuc

    if not rows:
        return []
    labels = list(labels) or sorted({str(row["label"]) for row in rows})
    places = list(range(len(rows)))
    truth = [[str(row["label"])] for row in rows]
    named = {"predictions": labels_of(answers, rows, labels), "references": truth}
    steps: list[_Step] = [
        (MacroF1(), places, named, {"labels": labels}),
        (Accuracy(), places, named, {}),
    ]
    if probabilities is not None:
        likely = {"predictions": [[float(p) for p in row] for row in probabilities], "references": truth}
        steps.append((RocAuc(), places, likely, {"labels": labels}))
    return steps


def labels_of(answers: Sequence[str], rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """The label that each answer names, or "".

    An answer names a label where it is the label, or the answer that rows of that label have, but for case,
    marks and articles; else where exactly one of the labels stands in it as a word.
    """
    names = {normalised(label): label for label in labels}
    names |= {normalised(str(row["answer"])): str(row["label"]) for row in rows if row.get("answer")}
    return [names.get(normalised(answer)) or _only_label_in(answer, labels) for answer in answers]


def _only_label_in(answer: str, labels: Sequence[str]) -> str:
    words = f" {' '.join(tokens(answer.lower()))} "
    found = [label for label in labels if f" {' '.join(tokens(label.lower()))} " in words]
    return found[0] if len(found) == 1 else ""


def references_of(row: Row) -> list[str]:
    """All acceptable answers of a row; empty texts are none."""
    held = row.get("references") or "[]"
    found = json.loads(held) if isinstance(held, str) else list(held)
    return [str(text) for text in found if str(text).strip()]


def constraints_of(row: Row) -> dict[str, Any]:
    """What the row's instruction asked for, empty where it asked for nothing that code can check."""
    held = row.get("constraints") or "{}"
    found = json.loads(held) if isinstance(held, str) else dict(held)
    return {kind: value for kind, value in found.items() if value}


def wants_a_story(row: Row) -> bool:
    """Whether a whole story is asked for, with constraints or without: no one answer to it is the right one."""
    return bool(constraints_of(row)) or row.get("aspect") in STORY_ASPECTS
