"""How each task came out: what the stage `evaluate` left, read back for the summary, the model card and its tags."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path("metrics/tasks.md")  # its first table holds a row a task

_CELL = re.compile(r"(?P<name>\S+) (?P<value>-|[\d.]+)( \[.*\])?")  # finetuned 0.981 [0.970, 0.990]
_DIGITS = 3  # where the table holds no figure to go by


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Somebody's headline figure, as the table tells it; "-" where it could not be had."""

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
        value = metrics.get("_".join(filter(None, (by, self.task, of, self.metric))))
        if not isinstance(value, int | float):
            return "-"
        digits = len(self.model.value.partition(".")[2]) or _DIGITS
        return f"{value:.{digits}f}"


def read_outcomes(path: Path = TABLE) -> list[Outcome]:
    """The rows of the table, in its order; none where there is no such file."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        figures = [_figure(cell) for cell in cells[2:4]]
        if len(cells) == 6 and figures[0] and figures[1]:
            task, metric, *_, outcome = cells
            found.append(
                Outcome(task=task, metric=metric, model=figures[0], baseline=figures[1], outcome=outcome.strip("*"))
            )
    return found


def _figure(cell: str) -> Figure | None:
    found = _CELL.fullmatch(cell)
    return Figure(**found.groupdict()) if found else None
