"""Every task of the mixture, answered by every model and every baseline, scored and set side by side."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from tasks.evaluation.answering import AnsweringParams, Answers, Respondent
from tasks.evaluation.baselines import Baseline, Row, baselines_for
from tasks.evaluation.fabrication import fabrication, refusal_figures
from tasks.evaluation.intervals import Bootstrap, Floats, Score, with_interval
from tasks.evaluation.rows import request
from tasks.evaluation.swaps import Gender, gender_of, swap_gap, swapped
from tasks.evaluation.task_scores import HEADLINE, compare, references_of, score, wants_a_story
from tasks.evaluation.task_table import Verdict
from tasks.records import FEEDBACK_SOURCE, read_rows
from tasks.stage import UserError

log = logging.getLogger(__name__)

TRAIN, TEST, HOLDOUT = "train", "test", "written"
SAID_TO_SOURCE = ("summarization", "assistant")  # kinds whose answers must not go beyond their document

Figures = dict[str, float | int | str | list[str] | None]
Scores = dict[str, dict[str, Score]]  # by who answered, then by metric
Ways = Mapping[str, Sequence[Respondent]]  # how each model is asked, by its name, in the order of their making


class TaskSuiteParams(AnsweringParams):
    """How many rows of each task are answered, and what else is looked at."""

    rows: int = Field(ge=2)  # of the test split of a task, at most
    written_rows: int = Field(ge=0)  # of the hand-written hold-out, by the tuned models and the baselines
    stories: int = Field(ge=0)  # story requests among them, at most
    swapped_texts: int = Field(ge=0)  # stories told anew with girls for boys, for the likelihood gap
    wordnet: Path | None = Field(strict=False)  # a local WordNet, for METEOR's synonyms


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of the mixture: what is learnt from, what is asked, and which figures are told (none named: all).

    train: without what people said of answers, so that baselines and a base model's examples stay from round to round.
    """

    name: str
    kind: str
    train: list[Row]
    test: list[Row]
    written: list[Row]
    metrics: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        return sorted({str(row["label"]) for row in self.train}) if self.kind == "classification" else []


@dataclass(frozen=True, kw_only=True)
class TaskAnswers:
    """The answers to a task, by who or by which way of asking gave them; to the hand-written rows by chat alone."""

    test: dict[str, Answers]
    written: dict[str, Answers]


@dataclass(frozen=True, kw_only=True)
class Marked:
    """The answers to a task with their scores."""

    answers: TaskAnswers
    test: Scores
    written: Scores


ByTask = Mapping[str, Marked]


@dataclass
class TaskResults:
    """Figures by their names in the metrics file, the verdict on each task, and a conversation of each."""

    figures: Figures = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)


def read_tasks(mixture: Path, params: TaskSuiteParams) -> list[Task]:
    """The tasks of a mixture folder, their test rows cut to what is asked for. Raises UserError where there is none."""
    rows = {split: _by_task(mixture / f"{split}.parquet") for split in (TRAIN, TEST, HOLDOUT)}
    metrics = _metrics_asked_for(mixture / "tasks.json")
    return [
        Task(
            name=name,
            kind=str(train[0]["kind"]),
            train=[row for row in train if row["answer"] and row["source"] != FEEDBACK_SOURCE],
            test=_some(rows[TEST].get(name, []), params.rows, params.stories),
            written=_some(rows[HOLDOUT].get(name, []), params.written_rows, 0),
            metrics=metrics.get(name, ()),
        )
        for name, train in rows[TRAIN].items()
    ]


def _metrics_asked_for(path: Path) -> dict[str, tuple[str, ...]]:
    """The names of the figures of each task, as it was declared."""
    _check_file(path)
    declared = json.loads(path.read_text(encoding="utf-8"))
    return {name: tuple(task["metrics"]) for name, task in declared.items()}


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage mix makes it, run `dvc repro`")


def _by_task(path: Path) -> dict[str, list[Row]]:
    _check_file(path)
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(path):
        found[str(row["task"])].append(row)
    return dict(found)


def _some(rows: Sequence[Row], most: int, stories: int) -> list[Row]:
    """At most so many rows, evenly spread by their ids; of story requests at most `stories`."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    requests = [row for row in ordered if wants_a_story(row)][:stories]
    return [row for row in ordered if not wants_a_story(row)][:most] + requests


def evaluate_tasks(tasks: Sequence[Task], models: Ways, params: TaskSuiteParams, bootstrap: Bootstrap) -> TaskResults:
    """Answers and scores of all tasks, by every way to ask a model and by every baseline."""
    baselines = marked_baselines(tasks, params, bootstrap)
    marked = {name: mark_tasks(tasks, answer_tasks(tasks, ways), params, bootstrap) for name, ways in models.items()}
    return compare_tasks(tasks, marked, baselines, bootstrap)


def answer_tasks(tasks: Iterable[Task], ways: Sequence[Respondent]) -> dict[str, TaskAnswers]:
    """The answers to every task of one model; its ways of being asked in their order."""
    found: dict[str, TaskAnswers] = {}
    for task in tasks:
        log.info("%s: task %s, %d questions", ways[0].name, task.name, len(task.test))
        chats = [way for way in ways if way.chat and task.written]
        found[task.name] = TaskAnswers(
            test={way.name: way.answer(task.kind, task.test, task.train) for way in ways},
            written={way.name: way.answer(task.kind, task.written, task.train) for way in chats},
        )
    return found


def marked_baselines(tasks: Iterable[Task], params: TaskSuiteParams, bootstrap: Bootstrap) -> dict[str, Marked]:
    """The baselines of every task, trained, asked and scored."""
    found: dict[str, Marked] = {}
    for task in tasks:
        log.info("task %s: baselines", task.name)
        lines = baselines_for(task.kind, task.train, seed=bootstrap.seed)
        answers = TaskAnswers(test=_said(lines, task.test), written=_said(lines, task.written) if task.written else {})
        found |= mark_tasks([task], {task.name: answers}, params, bootstrap)
    return found


def _said(baselines: Iterable[Baseline], rows: Sequence[Row]) -> dict[str, Answers]:
    return {
        line.name: Answers(by=line.name, texts=line.answers(rows), probabilities=line.probabilities(rows))
        for line in baselines
    }


def mark_tasks(
    tasks: Iterable[Task], answers: Mapping[str, TaskAnswers], params: TaskSuiteParams, bootstrap: Bootstrap
) -> dict[str, Marked]:
    """Somebody's answers to every task, scored."""
    return {
        task.name: Marked(
            answers=answers[task.name],
            test=_scores(task, task.test, answers[task.name].test, params, bootstrap),
            written=_scores(task, task.written, answers[task.name].written, params, bootstrap),
        )
        for task in tasks
    }


def compare_tasks(
    tasks: Sequence[Task], models: Mapping[str, ByTask], baselines: ByTask, bootstrap: Bootstrap
) -> TaskResults:
    """The figures of everybody, models in the order of their making; verdicts and conversations are the newest's."""
    results = TaskResults()
    for task in tasks:
        own = {name: marked[task.name] for name, marked in models.items()}
        everybody = [*own.values(), baselines[task.name]]
        answers = {name: told for marked in everybody for name, told in marked.answers.test.items()}
        scores = {name: score for marked in everybody for name, score in marked.test.items()}
        written = {name: score for marked in everybody for name, score in marked.written.items()}
        results.figures |= _figures(scores | _by_first_way(own), task.name)
        results.figures |= _figures(written, f"{task.name}_{HOLDOUT}")
        newest = _first_way(list(own.values())[-1])
        verdict = _verdict(task, newest, list(baselines[task.name].test), answers, scores, bootstrap)
        results.verdicts.append(verdict)
        results.figures |= verdict.facts
        results.conversations += _conversations(task, answers[newest])
    lost = sorted(verdict.task for verdict in results.verdicts if verdict.outcome == "loses")
    for newest in {verdict.model for verdict in results.verdicts}:
        results.figures |= {f"{newest}_tasks_lost": lost, f"{newest}_tasks": len(results.verdicts)}
    results.figures["tasks"] = [task.name for task in tasks]  # in their order, which a metrics file does not keep
    return results


def _first_way(marked: Marked) -> str:
    return next(iter(marked.test))


def _scores(
    task: Task, rows: Sequence[Row], answers: Mapping[str, Answers], params: TaskSuiteParams, bootstrap: Bootstrap
) -> Scores:
    found = {
        name: score(
            task.kind,
            rows,
            told.texts,
            probabilities=told.probabilities,
            labels=task.labels,
            bootstrap=bootstrap,
            wordnet=params.wordnet,
        )
        for name, told in answers.items()
    }
    whole = {name: own | _beyond_the_source(task, rows, answers[name], bootstrap) for name, own in found.items()}
    return {name: _asked_for(task, own) for name, own in whole.items()}


def _asked_for(task: Task, found: Mapping[str, Score]) -> dict[str, Score]:
    """Of a task's figures those that its declaration names, and always the headline one."""
    if not task.metrics:
        return dict(found)
    return {metric: value for metric, value in found.items() if metric in (HEADLINE[task.kind], *task.metrics)}


def _beyond_the_source(task: Task, rows: Sequence[Row], answers: Answers, bootstrap: Bootstrap) -> dict[str, Score]:
    """What an answer makes up: names and things that its document does not hold, answers that nobody can give."""
    places = [at for at, row in enumerate(rows) if row["document"] and not wants_a_story(row)]
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


def _figures(scores: Mapping[str, Mapping[str, Score]], task: str) -> Figures:
    """`<name>_<task>_<metric>` with `_low` and `_high`."""
    figures: Figures = {}
    for name, found in scores.items():
        figures |= _flat(f"{name}_{task}", found)
    return figures


def _flat(prefix: str, found: Mapping[str, Score]) -> Figures:
    return {key: end for metric, score in found.items() for key, end in score.figures(f"{prefix}_{metric}").items()}


def _by_first_way(models: Mapping[str, Marked]) -> Scores:
    """A base model's figures under its own name are those with examples in its prompt."""
    return {name: marked.test[_first_way(marked)] for name, marked in models.items() if _first_way(marked) != name}


def _verdict(
    task: Task,
    model: str,
    baselines: Sequence[str],
    answers: Mapping[str, Answers],
    scores: Scores,
    bootstrap: Bootstrap,
) -> Verdict:
    """How a model stands beside the best baseline in the task's headline figure."""
    headline = HEADLINE[task.kind]
    best = max(baselines, key=lambda name: scores[name][headline].value if headline in scores[name] else -math.inf)
    ours, theirs = answers[model].texts, answers[best].texts
    ahead = compare(task.kind, task.test, ours, theirs, labels=task.labels, bootstrap=bootstrap)
    return Verdict(task=task.name, metric=headline, model=model, baseline=best, ahead=ahead, scores=scores)


def _conversations(task: Task, answers: Answers) -> Iterator[str]:
    """One request of each aspect with what was answered, in Markdown."""
    seen: set[str] = set()
    for row, text in zip(task.test, answers.texts, strict=True):
        if row["aspect"] in seen:
            continue
        seen.add(str(row["aspect"]))
        asked = request(row).replace("\n", "\n> ")
        expected = f"\n\n(expected: {row['answer']})" if row["answer"] and not wants_a_story(row) else ""
        yield f"## {answers.by}, {task.name}: {row['aspect'] or task.kind}\n\n> {asked}\n\n{text}{expected}\n"


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A text, the same with boys for girls and girls for boys, and whom the first speaks of."""

    original: str
    turned: str
    gender: Gender


def swaps_of(texts: Iterable[str]) -> list[Swap]:
    """The swaps of those texts that have something to swap."""
    pairs = [(text, swapped(text), gender_of(text)) for text in texts]
    return [
        Swap(original=text, turned=turned, gender=gender)
        for text, turned, gender in pairs
        if turned is not None and gender is not None
    ]


def swap_figures(
    name: str,
    swaps: Sequence[Swap],
    original: Sequence[float] | Floats,
    turned: Sequence[float] | Floats,
    bootstrap: Bootstrap,
) -> Figures:
    """Whom a model favours: what its own language costs when boys and girls change places in a text.

    original, turned: bits of the texts as they were and with everybody swapped; (swaps,).
    """
    if not swaps:
        return {}
    found = swap_gap(list(original), list(turned), [swap.gender for swap in swaps], bootstrap=bootstrap)
    return {f"{name}_swapped_texts": len(swaps)} | _flat(name, found)
