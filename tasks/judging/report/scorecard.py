"""A judge's scorecard as it stands in metrics/judge_scorecard.json, read back into rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.stage import metric_key

FAILED = "_axes_failed"
NOT_EXAMINED = "_axes_not_examined"
PARTS = ("_low", "_high", "_threshold", "_passed", "_count", "_status")

Outcome = Literal["passed", "failed", "measured", "not run"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A check of a judge: its figure and what it had to be."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    passed: bool | None
    count: int | None

    @property
    def outcome(self) -> Outcome:
        """measured: it has a figure and no threshold."""
        if self.value is None:
            return "not run"
        if self.passed is None:
            return "measured"
        return "passed" if self.passed else "failed"

    @property
    def order(self) -> tuple[int, str]:
        """What failed is told first, what was not run last."""
        return ("failed", "passed", "measured", "not run").index(self.outcome), self.name


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """All rows of a judge, and the axes that they forbid or leave open. judge: its name in snake_case."""

    judge: str
    rows: tuple[Row, ...]
    axes_failed: tuple[str, ...]
    axes_not_examined: tuple[str, ...]

    def count(self, outcome: Outcome) -> int:
        return sum(row.outcome == outcome for row in self.rows)

    def is_of(self, judge: str) -> bool:
        """Whether a verdict's judge (name@hash) is the one examined."""
        return metric_key(judge.partition("@")[0]) == self.judge


def read_scorecards(figures: Mapping[str, Any]) -> list[Scorecard]:
    """The scorecards in the flat figures of `calibrate`, in the order of their judges' names."""
    judges = [name.removesuffix(FAILED) for name in figures if name.endswith(FAILED)]
    return [
        Scorecard(
            judge=judge,
            rows=tuple(_rows(judge, figures)),
            axes_failed=tuple(figures[judge + FAILED] or ()),
            axes_not_examined=tuple(figures.get(judge + NOT_EXAMINED) or ()),
        )
        for judge in sorted(judges)
    ]


def may_not_decide(figures: Mapping[str, Any], judge: str) -> list[str]:
    """The axes on which a judge (name@hash) failed its examination."""
    return [axis for card in read_scorecards(figures) if card.is_of(judge) for axis in card.axes_failed]


def _rows(judge: str, figures: Mapping[str, Any]) -> Iterator[Row]:
    lists = {judge + FAILED, judge + NOT_EXAMINED}
    for name, value in figures.items():
        if not name.startswith(f"{judge}_") or name in lists or _is_part(name, figures):
            continue
        yield Row(
            name=name.removeprefix(f"{judge}_"),
            value=value,
            low=figures.get(f"{name}_low"),
            high=figures.get(f"{name}_high"),
            threshold=figures.get(f"{name}_threshold"),
            passed=figures.get(f"{name}_passed"),
            count=figures.get(f"{name}_count"),
        )


def _is_part(name: str, figures: Mapping[str, Any]) -> bool:
    """Whether it is the end of an interval, a threshold or the like of another figure."""
    return any(name.endswith(part) and name.removesuffix(part) in figures for part in PARTS)
