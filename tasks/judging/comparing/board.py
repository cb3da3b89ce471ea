"""What a leaderboard holds: models, how often each beats each, the axes, and what became of all that was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for whoever only reads the figures back: these import numpy
    from tasks.evaluation.intervals import Score
    from tasks.judging.records import Status

ALL = ""  # the kind of a comparison over every kind
OVERLAP = 0.05  # the least share of pairs in which the usually shorter answer is the longer one


def outcome(low: float, high: float) -> str:
    """Of a win rate's interval: wins or loses where it leaves one half out, level where it does not."""
    if low > 0.5:
        return "wins"
    return "loses" if high < 0.5 else "level"


@dataclass(frozen=True, kw_only=True)
class AxisScore:
    """A model's mean on an axis over the answers that have a grade. is_proxy: measured by something near to it."""

    score: Score
    answers: int
    is_proxy: bool


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model beside all others. win_rate: over all its verdicts; bradley_terry: in Elo points with mean 1,000."""

    model: str
    answers: int
    win_rate: Score
    bradley_terry: Score
    axes: Mapping[str, AxisScore]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often `first` beats `second` on prompts of a kind (ALL: of every kind).

    wins, ties, losses: of first, in verdicts; longer: the share of them in which first's answer is the longer one.
    """

    first: str
    second: str
    kind: str
    win_rate: Score
    length_controlled: Score
    wins: int
    ties: int
    losses: int
    longer: float

    @property
    def verdicts(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def is_extrapolated(self) -> bool:
        """One of the two is so seldom the longer one that equal lengths are beyond what was seen."""
        return self.verdicts > 0 and not OVERLAP <= self.longer <= 1 - OVERLAP

    @property
    def outcome(self) -> str:
        """As `outcome` says; "not judged" without a verdict."""
        return "not judged" if math.isnan(self.win_rate.value) else outcome(self.win_rate.low, self.win_rate.high)

    @property
    def is_by_length(self) -> bool:
        """It is won or lost, and at equal lengths it would not be."""
        controlled = self.length_controlled.value
        return (self.outcome == "wins" and controlled <= 0.5) or (self.outcome == "loses" and controlled >= 0.5)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What became of everything that was to be judged. missing: without any record; same_text: ties for free.

    flipped: verdicts in which the order of showing decided, of the `both_orders` that were asked both ways.
    by_kind: the share that has a verdict, by the kind of the prompt.
    """

    statuses: Mapping[Status, int]
    missing: int
    same_text: int
    both_orders: int
    flipped: int
    by_kind: Mapping[str, float]

    @property
    def asked(self) -> int:
        return sum(self.statuses.values()) + self.missing

    @property
    def share(self) -> float | None:
        """The share that has a verdict, None where nothing was to be judged."""
        return self.statuses["ok"] / self.asked if self.asked else None

    @property
    def flipped_share(self) -> float | None:
        """None where no pair was asked in both orders."""
        return self.flipped / self.both_orders if self.both_orders else None


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All figures of one judge's look at the models' answers; the models stand in the order of their making."""

    judge: str
    models: tuple[str, ...]
    standings: Mapping[str, Standing]
    rates: tuple[Rates, ...]
    coverage: Coverage

    @cached_property
    def ranked(self) -> tuple[Standing, ...]:
        """The best Bradley-Terry score first; those without one last."""

        def key(standing: Standing) -> float:
            score = standing.bradley_terry.value
            return math.inf if math.isnan(score) else -score

        return tuple(sorted(self.standings.values(), key=key))

    @property
    def overall(self) -> tuple[Rates, ...]:
        """The comparisons over every kind of prompt."""
        return tuple(found for found in self.rates if found.kind == ALL)
