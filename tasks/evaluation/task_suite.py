"""Every task of the mixture, answered by every model and every baseline, scored and set side by side."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from tasks.evaluation import task_table
from tasks.evaluation.answering import AnsweringParams, Answers, Respondent
from tasks.evaluation.baselines import Row, baselines_for
from tasks.evaluation.baselines.base import request
from tasks.evaluation.fabrication import fabrication, refusal_figures
from tasks.evaluation.intervals import Bootstrap, Floats, Score, with_interval
from tasks.evaluation.swaps import gender_of, swap_gap, swapped
from tasks.evaluation.task_scores import HEADLINE, compare, constraints_of, references_of, score
from tasks.records import read_rows

if TYPE_CHECKING:
    from tasks.evaluation.task_table import Verdict

log = logging.getLogger(__name__)

TRAIN, TEST, HOLDOUT = "train", "test", "written"
SAID_TO_SOURCE = ("summarization", "assistant")  # kinds whose answers must not go beyond their document

Figures = dict[str, float | int | str | list[str] | None]
CostOfTexts = Callable[[Sequence[str]], Floats]  # bits of each text


class TaskSuiteParams(AnsweringParams):
    """How many rows of each task are answered, and what else is looked at."""

    rows: int = Field(ge=2)  # of the test split of a task, at most
    written_rows: int = Field(ge=0)  # of the hand-written hold-out, by the tuned models and the baselines
    stories: int = Field(ge=0)  # story requests among them, at most
    swapped_texts: int = Field(ge=0)  # stories told anew with girls for boys, for the likelihood gap
    wordnet: Path | None = Field(strict=False)  # a local WordNet, for METEOR's synonyms


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the mixture: what is learnt from, and what is asked."""

    name: str
    kind: str
    train: list[Row]
    test: list[Row]
    written: list[Row]

    @property
    def labels(self) -> list[str]:
        return sorted({str(row["label"]) for row in self.train}) if self.kind == "classification" else []


@dataclass
class TaskResults:
    """Figures by their names in the metrics file, the verdict on each task, and a conversation of each."""

    figures: Figures = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)


def read_tasks(mixture: Path, params: TaskSuiteParams) -> list[Task]:
    """The tasks of a mixture folder, their test rows cut to what is asked for."""
    rows = {split: _by_task(mixture / f"{split}.parquet") for split in (TRAIN, TEST, HOLDOUT)}
    return [
        Task(
            name=name,
            kind=str(train[0]["kind"]),
            train=[row for row in train if row["answer"]],
            test=_some(rows[TEST].get(name, []), params.rows, params.stories),
            written=_some(rows[HOLDOUT].get(name, []), params.written_rows, 0),
        )
        for name, train in rows[TRAIN].items()
    ]


def _by_task(path: Path) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(path):
        found[str(row["task"])].append(row)
    return dict(found)


def _some(rows: Sequence[Row], most: int, stories: int) -> list[Row]:
    """At most so many rows, evenly spread by their ids; of story requests at most `stories`."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    requests = [row for row in ordered if constraints_of(row)][:stories]
    return [row for row in ordered if not constraints_of(row)][:most] + requests


def evaluate_tasks(
    tasks: Sequence[Task], models: Mapping[str, Sequence[Respondent]], params: TaskSuiteParams, bootstrap: Bootstrap
) -> TaskResults:
    """Answers and scores of all tasks. models: the ways to ask each model, by the model's name."""
    results = TaskResults()
    for task in tasks:
        log.info("task %s: %d questions to %d models and the baselines", task.name, len(task.test), len(models))
        baselines = [
            (line.name, line.answers, line.probabilities, line.how)
            for line in baselines_for(task.kind, task.train, seed=bootstrap.seed)
        ]
        lines = {
            name: Answers(by=name, texts=answers(task.test), probabilities=probabilities(task.test))
            for name, answers, probabilities, _ in baselines
        }
        given = {
            respondent.name: respondent.answer(task.kind, task.test, task.train)
            for respondent in (one for ways in models.values() for one in ways)
        }
        scores = {
            name: _scores(task, task.test, answers, params, bootstrap) for name, answers in (given | lines).items()
        }
        results.figures |= _named(scores, task.name)
        results.figures |= _first_way_figures(models, scores, task.name)
        if task.written:
            results.figures |= _written_figures(task, models, baselines, params, bootstrap)
        results.verdicts.append(_verdict(task, models, given, lines, scores, bootstrap))
        results.conversations += _conversation(task, models, given)
    results.figures |= _lost(results.verdicts, models)
    return results


def _scores(
    task: Task, rows: Sequence[Row], answers: Answers, params: TaskSuiteParams, bootstrap: Bootstrap
) -> dict[str, Score]:
    found = score(
        task.kind,
        rows,
        answers.texts,
        probabilities=answers.probabilities,
        labels=task.labels,
        bootstrap=bootstrap,
        wordnet=params.wordnet,
    )
    return found | _beyond_the_source(task, rows, answers, bootstrap)


def _beyond_the_source(task: Task, rows: Sequence[Row], answers: Answers, bootstrap: Bootstrap) -> dict[str, Score]:
    """What an answer makes up: names and things that its document does not hold, answers that nobody can give."""
    places = [at for at, row in enumerate(rows) if row["document"] and not constraints_of(row)]
    if task.kind not in SAID_TO_SOURCE or not places:
        return {}
    texts = [answers.texts[at] for at in places]
    asked = [rows[at] for at in places]
    measures = fabrication(texts, [request(row) for row in asked])
    refusals = sorted({reference for row in asked if not row["answerable"] for reference in references_of(row)})
    if refusals:
        measures |= refusal_figures(texts, [bool(row["answerable"]) for row in asked], refusals=refusals)
    found = {name: with_interval(measure, bootstrap) for name, measure in measures.items()}
    return {name: value for name, value in found.items() if not math.isnan(value.value)}


def _named(scores: Mapping[str, Mapping[str, Score]], task: str) -> Figures:
    figures: Figures = {}
    for name, found in scores.items():
        for metric, value in found.items():
            key = f"{name}_{task}_{metric}"
            figures |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
    return figures


def _first_way_figures(
    models: Mapping[str, Sequence[Respondent]], scores: Mapping[str, Mapping[str, Score]], task: str
) -> Figures:
    """A base model's figures under its own name are those with examples in its prompt."""
    renamed = {name: scores[ways[0].name] for name, ways in models.items() if ways[0].name != name}
    return _named(renamed, task)


def _written_figures(
    task: Task,
    models: Mapping[str, Sequence[Respondent]],
    baselines: Sequence[tuple[str, Callable[..., list[str]], Callable[..., Floats | None], str]],
    params: TaskSuiteParams,
    bootstrap: Bootstrap,
) -> Figures:
    """The same on the hand-written stories: `<model>_<task>_written_<metric>`."""
    asked = task.written
    lines = [
        Answers(by=name, texts=answers(asked), probabilities=chances(asked)) for name, answers, chances, _ in baselines
    ]
    given = [way.answer(task.kind, asked, task.train) for ways in models.values() for way in ways if way.chat]
    found = {answers.by: _scores(task, asked, answers, params, bootstrap) for answers in [*given, *lines]}
    return _named(found, f"{task.name}_{HOLDOUT}")


def _verdict(
    task: Task,
    models: Mapping[str, Sequence[Respondent]],
    given: Mapping[str, Answers],
    lines: Mapping[str, Answers],
    scores: Mapping[str, Mapping[str, Score]],
    bootstrap: Bootstrap,
) -> Verdict:
    """How the newest model stands beside the best baseline in the task's headline figure."""
    headline = HEADLINE[task.kind]
    newest = list(models.values())[-1][0].name
    best = max(lines, key=lambda name: scores[name][headline].value if headline in scores[name] else -math.inf)
    ahead = compare(
        task.kind, task.test, given[newest].texts, lines[best].texts, labels=task.labels, bootstrap=bootstrap
    )
    return task_table.Verdict(
        task=task.name,
        metric=headline,
        rows=len(task.test),
        model=newest,
        baseline=best,
        ahead=ahead,
        figures={name: found[headline] for name, found in scores.items() if headline in found},
        others={name: dict(found) for name, found in scores.items()},
    )


def _lost(verdicts: Sequence[Verdict], models: Mapping[str, Sequence[Respondent]]) -> Figures:
    newest = list(models.values())[-1][0].name
    lost = sorted(verdict.task for verdict in verdicts if verdict.outcome == "loses")
    return {f"{newest}_tasks_lost": lost, f"{newest}_tasks": len(verdicts)}


def _conversation(
    task: Task, models: Mapping[str, Sequence[Respondent]], given: Mapping[str, Answers]
) -> Iterator[str]:
    """One request of each aspect with what was answered, in Markdown."""
    way = list(models.values())[-1][0]
    seen: set[str] = set()
    for at, row in enumerate(task.test):
        if row["aspect"] in seen:
            continue
        seen.add(str(row["aspect"]))
        expected = f"\n\n(expected: {row['answer']})" if row["answer"] and not constraints_of(row) else ""
        yield (
            f"## {way.name}, {task.name}: {row['aspect'] or task.kind}\n\n> "
            + request(row).replace("\n", "\n> ")
            + f"\n\n{given[way.name].texts[at]}{expected}\n"
        )


def swap_figures(name: str, cost: CostOfTexts, texts: Sequence[str], bootstrap: Bootstrap) -> Figures:
    """Whom a model favours: what its own language costs when boys and girls change places in a text."""
    pairs = [(text, other, gender_of(text)) for text in texts if (other := swapped(text)) is not None]
    known = [(text, other, gender) for text, other, gender in pairs if gender is not None]
    if not known:
        return {}
    original, turned = (np.asarray(cost([pair[at] for pair in known])) for at in (0, 1))
    found = swap_gap(list(original), list(turned), [gender for _, _, gender in known], bootstrap=bootstrap)
    figures: Figures = {f"{name}_swapped_texts": len(known)}
    for metric, value in found.items():
        key = f"{name}_{metric}"
        figures |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
    return figures


def declared_tasks(mixture: Path) -> dict[str, object]:
    """tasks.json of a mixture: what was declared."""
    return dict(json.loads((mixture / "tasks.json").read_text(encoding="utf-8")))
