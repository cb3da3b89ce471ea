"""The one table of the tasks: every model and baseline, and the verdict on each task."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.intervals import Score

GOOD_ENOUGH = 0.95  # where both reach it, a task is won by nobody and lost by nobody
OF_A_HUNDRED = frozenset({"chrf", "bleu"})

Outcome = Literal["wins", "level", "loses", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A task's headline figure for everybody, and how the newest model stands to the best baseline.

    ahead: the model's figure less the baseline's, with its paired interval. scores: all figures of everybody, by name
    and metric; the headline one is missing where no row asks for it (story requests alone).
    """

    task: str
    metric: str
    model: str
    baseline: str
    ahead: Score
    scores: Mapping[str, Mapping[str, Score]]

    @property
    def figures(self) -> dict[str, Score]:
        """The headline figure of everybody who has one."""
        return {name: found[self.metric] for name, found in self.scores.items() if self.metric in found}

    @property
    def outcome(self) -> Outcome:
        """loses: the figure is below the best baseline's; level: above, but by chance too, or both are good enough."""
        if not {self.model, self.baseline} <= self.figures.keys():
            return "not measured"
        if min(as_share(self.metric, self.figures[name].value) for name in (self.model, self.baseline)) >= GOOD_ENOUGH:
            return "level"
        if self.ahead.value < 0:
            return "loses"
        return "wins" if self.ahead.low > 0 else "level"

    @property
    def facts(self) -> dict[str, str]:
        """What the metrics file says of the verdict beside the figures; `tasks.outcomes` reads it there."""
        told = {
            "metric": self.metric, "model": self.model, "best_baseline": self.baseline, "outcome": self.outcome,
        }  # fmt: skip
        return {f"{self.task}_{name}": value for name, value in told.items()}

    def line(self) -> str:
        """The verdict in one line."""
        told = {name: _told(self.metric, self.figures.get(name)) for name in (self.model, self.baseline)}
        return f"{self.task}: {self.outcome}; {self.metric} {told[self.model]}, {self.baseline} {told[self.baseline]}"


def as_share(metric: str, value: float) -> float:
    """A figure as a share of the best there can be."""
    return value / 100 if metric in OF_A_HUNDRED else value


def digits(metric: str) -> int:
    """How many digits after the point a figure is told with."""
    return 1 if metric in OF_A_HUNDRED else 3


def markdown(verdicts: Sequence[Verdict], *, confidence: float) -> str:
    """The table as people read it: a row a task and system, the headline figure first. confidence: of the intervals."""
    details = [*_details(verdicts, confidence), *_notes(verdicts)]
    lines = ["# Tasks beside their baselines", "", *_summary(verdicts), "", *details]
    return "\n".join(lines) + "\n"


def _summary(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "| task | figure | model | best baseline | ahead by | outcome |"
    yield "|---|---|---|---|---|---|"
    for verdict in verdicts:
        model, line = verdict.figures.get(verdict.model), verdict.figures.get(verdict.baseline)
        marked = f"**{verdict.outcome}**" if verdict.outcome == "loses" else verdict.outcome
        yield (
            f"| {verdict.task} | {verdict.metric} | {verdict.model} {_told(verdict.metric, model)} "
            f"| {verdict.baseline} {_told(verdict.metric, line)} | {_told(verdict.metric, verdict.ahead)} | {marked} |"
        )


def _details(verdicts: Sequence[Verdict], confidence: float) -> Iterator[str]:
    yield f"| task | by | figures ({100 * confidence:g} % intervals by bootstrap) |"
    yield "|---|---|---|"
    for verdict in verdicts:
        for name in ranked(verdict):
            told = "; ".join(f"{metric} {_told(metric, value)}" for metric, value in verdict.scores[name].items())
            yield f"| {verdict.task} | {name} | {told} |"


def _notes(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What a figure's name does not say."""
    if any("meteor" in found for verdict in verdicts for found in verdict.scores.values()):
        yield ""
        yield "METEOR matches exact words and stems, and synonyms only where `evaluate.tasks.wordnet` names a WordNet."


def ranked(verdict: Verdict) -> list[str]:
    """Everybody who answered the task, the best headline figure first."""
    figures = verdict.figures
    return sorted(verdict.scores, key=lambda name: -figures[name].value if name in figures else math.inf)


def _told(metric: str, value: Score | None) -> str:
    if value is None or math.isnan(value.value):
        return "-"
    of = digits(metric)
    return f"{value.value:.{of}f} [{value.low:.{of}f}, {value.high:.{of}f}]"


def plot(verdicts: Sequence[Verdict]) -> str:
    """The headline figures as CSV for `dvc plots`, each as a share of the best there can be."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "task", "by", "metric", "share"])
    for verdict in verdicts:
        for name in (name for name in ranked(verdict) if name in verdict.figures):
            share = as_share(verdict.metric, verdict.figures[name].value)
            writer.writerow([f"{verdict.task}: {name}", verdict.task, name, verdict.metric, f"{share:.6g}"])
    return text.getvalue()
