"""Answers of the study's models and of the baselines, scored by the task suite on test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.finetuning.plan import Plan, Workspace
from tasks import stage
from tasks.evaluate import EvaluateParams
from tasks.evaluation.intervals import Bootstrap, Score
from tasks.evaluation.task_suite import Task, TaskSuiteParams, read_tasks


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The stage evaluate's own parameters, its rows as many as the plan says."""

    suite: TaskSuiteParams
    bootstrap: Bootstrap
    seed: int
    threads: int

    def tasks(self, mixture: Path) -> list[Task]:
        """The tasks of a mixture folder with what is learnt from and what is asked."""
        return read_tasks(mixture, self.suite)


def scoring_of(workspace: Workspace, plan: Plan) -> Scoring:
    """How the workspace evaluates."""
    params = stage.load_params(EvaluateParams, "evaluate", file=workspace.params)
    rows = {"rows": plan.rows, "stories": plan.stories, "written_rows": 0}
    return Scoring(
        suite=params.tasks.model_copy(update=rows),
        bootstrap=Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed),
        seed=params.seed,
        threads=params.threads,
    )


def as_figures(score: Score) -> dict[str, float]:
    """A score as it is kept: six significant digits."""
    return {name: float(f"{getattr(score, name):.6g}") for name in ("value", "low", "high")}


def by_task(figures: Mapping[str, Any], name: str, headlines: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Somebody's headline figures out of the suite's flat ones. headlines: metric by task."""
    found = {}
    for task, metric in headlines.items():
        key = f"{name}_{task}_{metric}"
        if key in figures:
            score = Score(value=figures[key], low=figures[f"{key}_low"], high=figures[f"{key}_high"])
            found[task] = {"metric": metric, **as_figures(score)}
    return found
