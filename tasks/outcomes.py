"""How each task came out: what the stage `evaluate` left, read back for the summary, the model card and its tags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METRICS = Path("metrics/evaluate.json")
TABLE = Path("metrics/tasks.md")  # the same for people, with every figure and its interval


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Somebody's headline figure, with as many digits as the table tells; "-" where it could not be had."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A task's headline figure of the newest model and of the best baseline; outcome: as `task_table.Verdict`'s."""

    task: str
    metric: str
    model: Figure
    baseline: Figure
    outcome: str

    @property
    def line(self) -> str:
        """The outcome in one line."""
        return f"{self.outcome}: {self.metric} {self.model.value}, {self.baseline.name} {self.baseline.value}"

    def told(self, metrics: Mapping[str, Any], by: str, *, of: str = "") -> str:
        """The same figure of somebody else, with as many digits; "-" where it was not measured.

        metrics: those of `evaluate`. of: "written" for the figure on the hand-written hold-out.
        """
        return _told(metrics, self.metric, by, self.task, of)


def read_outcomes(path: Path = METRICS) -> list[Outcome]:
    """The outcomes in the order of the tasks; none where there is no such file, or it tells of no task."""
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return [_outcome(metrics, task) for task in metrics.get("tasks", ())]


def _outcome(metrics: Mapping[str, Any], task: str) -> Outcome:
    """A task's outcome of the keys that `task_table.Verdict.facts` names."""
    metric, model, baseline, outcome = (
        str(metrics[f"{task}_{fact}"]) for fact in ("metric", "model", "best_baseline", "outcome")
    )
    figures = {name: Figure(name=name, value=_told(metrics, metric, name, task)) for name in (model, baseline)}
    return Outcome(task=task, metric=metric, model=figures[model], baseline=figures[baseline], outcome=outcome)


def _told(metrics: Mapping[str, Any], metric: str, by: str, task: str, of: str = "") -> str:
    from tasks.evaluation.task_table import digits

    value = metrics.get("_".join(filter(None, (by, task, of, metric))))
    return f"{value:.{digits(metric)}f}" if isinstance(value, int | float) else "-"
