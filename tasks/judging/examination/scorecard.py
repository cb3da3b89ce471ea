"""The scorecard: what each check found of a judge, with intervals, thresholds and what did not pass."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.intervals import Score
from tasks.stage import metric_key

CheckStatus = Literal["ok", "not_run"]
Figure = float | int | str | None | list[str]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a figure must be. at_least, at_most; within: at most the threshold, and at least its mirror at one half."""

    kind: Literal["at_least", "at_most", "within"]
    threshold: float

    def holds(self, value: float) -> bool:
        if self.kind == "at_least":
            return value >= self.threshold
        if self.kind == "at_most":
            return value <= self.threshold
        return 1 - self.threshold <= value <= self.threshold

    def __str__(self) -> str:
        if self.kind == "within":
            return f"{1 - self.threshold:.2f} to {self.threshold:.2f}"
        return f"{'≥' if self.kind == 'at_least' else '≤'} {self.threshold:.2f}"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row of the scorecard. passed: of the value, not of its interval; None without a threshold or a value.

    axis: the axis of the rubric that the row decides on, "" for none. count: the verdicts that it rests on.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    limit: Limit | None = None
    status: CheckStatus = "ok"
    note: str = ""
    axis: str = ""
    count: int = 0
    shown: bool = True  # in the Markdown; the figures hold every row

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status == "not_run"):
            raise ValueError(f"{self.name}: a row that was not run has no value, and every other has one")

    @classmethod
    def of(
        cls, name: str, score: Score, *, count: int, limit: Limit | None = None, axis: str = "", note: str = ""
    ) -> "Check":
        """The row of a figure; not run where the figure is undefined."""
        if math.isnan(score.value):
            return not_run(name, limit=limit, axis=axis, note=note or "undefined on these answers")
        low, high = (None if math.isnan(end) else end for end in (score.low, score.high))
        return cls(name=name, value=score.value, low=low, high=high, limit=limit, note=note, axis=axis, count=count)

    @property
    def threshold(self) -> float | None:
        return self.limit.threshold if self.limit else None

    @property
    def passed(self) -> bool | None:
        return None if self.value is None or self.limit is None else self.limit.holds(self.value)


def not_run(name: str, *, note: str, limit: Limit | None = None, axis: str = "") -> Check:
    """A row without a figure, and why."""
    return Check(name=name, value=None, limit=limit, status="not_run", note=note, axis=axis)


def axes_that_failed(checks: Sequence[Check]) -> list[str]:
    """The axes with a row that failed its threshold: they may not decide a promotion."""
    return sorted({check.axis for check in checks if check.axis and check.passed is False})


def axes_not_examined(checks: Sequence[Check], axes: Sequence[str]) -> list[str]:
    """Those of the axes on which no row has a figure: nothing is known of the judge there."""
    examined = {check.axis for check in checks if check.value is not None}
    return sorted(set(axes) - examined)


def scorecard_figures(checks_by_judge: Mapping[str, Sequence[Check]], axes: Sequence[str] = ()) -> dict[str, Figure]:
    """The rows as flat metrics: `<judge>_<check>` with `_low`, `_high`, `_threshold`, `_passed`, `_count`.

    A row that was not run is null, with a `_status`. `<judge>_axes_failed` lists the axes that may not decide, and
    `<judge>_axes_not_examined` those of `axes` that no row looked at.
    """
    figures: dict[str, Figure] = {}
    for judge, checks in checks_by_judge.items():
        for check in checks:
            figures |= _figures(f"{metric_key(judge)}_{check.name}", check)
        figures[f"{metric_key(judge)}_axes_failed"] = axes_that_failed(checks)
        figures[f"{metric_key(judge)}_axes_not_examined"] = axes_not_examined(checks, axes)
    return figures


def _figures(key: str, check: Check) -> dict[str, Figure]:
    found: dict[str, Figure] = {key: check.value}
    if check.status == "not_run":
        found[f"{key}_status"] = check.status
    else:
        found |= {f"{key}_low": check.low, f"{key}_high": check.high, f"{key}_count": check.count}
    if check.limit is not None:
        found |= {f"{key}_threshold": check.threshold, f"{key}_passed": check.passed}
    return found


def scorecard_markdown(checks_by_judge: Mapping[str, Sequence[Check]], axes: Sequence[str] = ()) -> str:
    """The rows as a Markdown page, a table a judge. axes: all of the rubric, to say which no row looked at."""
    parts = ["# How far the judges may be believed\n"]
    for judge, checks in checks_by_judge.items():
        parts.append(f"## {judge}\n")
        parts.append(_verdict(checks, axes))
        parts.append("| check | figure | interval | threshold | passed | verdicts | note |")
        parts.append("|---|---|---|---|---|---|---|")
        parts += [_row(check) for check in checks if check.shown]
        parts.append("")
    return "\n".join(parts) + "\n"


def _verdict(checks: Sequence[Check], axes: Sequence[str]) -> str:
    failed, unknown = axes_that_failed(checks), axes_not_examined(checks, axes)
    rows = [check.name for check in checks if check.passed is False]
    lines = [
        f"Axes that may not decide a promotion: {', '.join(failed) or 'none'}.",
        f"Axes that no row examined: {', '.join(unknown) or 'none'}.",
        f"Rows below their threshold: {', '.join(rows) or 'none'}.",
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _row(check: Check) -> str:
    passed = {True: "yes", False: "**no**", None: ""}[check.passed]
    if check.value is None:
        return f"| {check.name} | | | {check.limit or ''} | not run | | {_cell(check.note)} |"
    ends = "" if check.low is None else f"{check.low:.3f} to {check.high:.3f}"
    limit = check.limit or ""
    return f"| {check.name} | {check.value:.3f} | {ends} | {limit} | {passed} | {check.count} | {_cell(check.note)} |"


def _cell(note: str) -> str:
    return " ".join(note.split()).replace("|", "\\|")
