"""What few examples of a task are worth: a model fine-tuned on 100, 300, 1,000 and all, and baselines of the same."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.finetuning.mixture import cut_mixture
from benchmarks.finetuning.plan import CURVE_TASKS, STUDY, Plan, Workspace
from benchmarks.finetuning.runs import Figures, Run, changed, finetuned
from benchmarks.finetuning.scoring import Scoring, as_figures
from tasks.evaluation.task_suite import Task

log = logging.getLogger(__name__)


def learning_curve(plan: Plan, workspace: Workspace, scoring: Scoring) -> Iterator[Figures]:
    """A line for each task and number of training examples, as soon as it is there."""
    for task in scoring.tasks(workspace.mixture):
        if task.kind not in CURVE_TASKS:
            continue
        rows = len(task.train)
        for size in dict.fromkeys(None if size is None or size >= rows else size for size in plan.sizes):
            yield _point(task, size, plan, workspace, scoring)


def _point(task: Task, size: int | None, plan: Plan, workspace: Workspace, scoring: Scoring) -> Figures:
    name = f"{task.name}_{size or 'all'}"
    mixture = STUDY / "mixtures" / name
    examples = cut_mixture(workspace.mixture, mixture, task=task.name, examples=size)
    section = workspace.section("finetune")
    steps = _steps(section, plan, mixture_tokens=_train_tokens(mixture))
    only = {
        "method": "full",
        "base_weights": "fp32",
        "tasks": [task.name],
        "budget_tokens": steps * section["batch_tokens"],
    }
    run = finetuned(name, changed(section, only), workspace, mixture=mixture)
    cut = next(found for found in scoring.tasks(mixture) if found.name == task.name)
    log.info("%s: %d test rows are answered", name, len(cut.test))
    line = {"task": task.name, "examples": examples, "steps": run.figures["train_steps"]}
    line |= {"epochs": round(run.figures["train_epochs"], 2), "val_loss": run.figures["val_loss"]}
    return line | _answers_scored(replace(cut, train=task.train), cut, run, scoring)


def _train_tokens(mixture: Path) -> int:
    from model.documents import read_documents

    return int(read_documents(mixture / "tokens", "train").offsets[-1])


def _steps(section: Mapping[str, Any], plan: Plan, *, mixture_tokens: int) -> int:
    """As many as the plan says, but the examples are seen no more often than it says; replayed text comes on top."""
    epoch: float = mixture_tokens / (1.0 - section["replay_share"]) / section["batch_tokens"]
    return max(1, min(plan.curve_steps, math.ceil(plan.curve_epochs * epoch)))


def _answers_scored(whole: Task, cut: Task, run: Run, scoring: Scoring) -> Figures:
    """The model's headline figure, each baseline's, and how far the model is ahead of the best of them.

    Classes are those of the whole training split, whether or not the cut one has an example of each.
    """
    import torch

    from model.checkpoint import load_model
    from tasks.evaluation.answering import respondents
    from tasks.evaluation.baselines import baselines_for
    from tasks.evaluation.task_scores import HEADLINE, compare, score

    torch.set_num_threads(scoring.threads)
    way = respondents(run.model, load_model(run.model), scoring.suite, seed=scoring.seed)[0]
    answers = {"model": list(way.answer(cut.kind, cut.test, cut.train).texts)}
    answers |= {line.name: line.answers(cut.test) for line in baselines_for(cut.kind, cut.train, seed=scoring.seed)}
    metric = HEADLINE[cut.kind]
    options: dict[str, Any] = {"labels": whole.labels, "bootstrap": scoring.bootstrap}
    scores = {name: score(cut.kind, cut.test, texts, **options)[metric] for name, texts in answers.items()}
    best = max((name for name in scores if name != "model"), key=lambda name: scores[name].value)
    ahead = compare(cut.kind, cut.test, answers["model"], answers[best], **options)
    return {
        "metric": metric,
        "rows": len(cut.test),
        "scores": {name: as_figures(found) for name, found in scores.items()},
        "best_baseline": best,
        "ahead": as_figures(ahead),
    }
