"""How far people agree: shares, Krippendorff's alpha and Cohen's kappa, each with a bootstrap interval by item.

A choice is a vote on its two answers, a ranking one on each two of its answers, a rating one on each axis; a
corrected text is no vote. Letters: N units (what a vote is on), V values, R resamples.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal, TypeVar

import numpy as np

from tasks.evaluation.intervals import Bootstrap, Floats, Measure, Score, divide, of_sums, ratio, with_interval

PAIRS = ""  # the scale of votes on two answers; those of a rating go by their axis
PREFERRED = ("first", "second", "tie", "both_bad")  # of two answers in the order of their ids
LEVELS = (1, 2, 3, 4, 5)

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What somebody said of something. item: what is drawn together for an interval; unit: what the vote is on.

    value: one of PREFERRED where the scale is PAIRS, else one of LEVELS.
    """

    item: str
    unit: str
    by: str
    value: str | int
    scale: str = PAIRS


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far people agree on a scale. same: the share of two people who said the same; units: with two votes or more.

    Figures are NaN where there is nothing to tell them by: no unit with two votes, or one value all over (alpha).
    """

    alpha: Score
    same: Score
    units: int


def votes_of(kind: str, decision: Mapping[str, Any], *, item: str, shown: Sequence[str], by: str) -> list[Vote]:
    """The votes in a decision (tasks.reviews.decisions). shown: the ids of the item's answers, in any order."""
    if kind == "choice":
        first, second = sorted(shown)
        value = {first: "first", second: "second"}.get(decision["winner"], decision["winner"])
        return [Vote(item=item, unit=_pair(item, first, second), by=by, value=value)]
    if kind == "ranking":
        tiers = {answer: place for place, tier in enumerate(decision["tiers"]) for answer in tier}
        return [
            Vote(item=item, unit=_pair(item, first, second), by=by, value=preferred(tiers[first], tiers[second]))
            for first, second in combinations(sorted(shown), 2)
        ]
    return [
        Vote(item=item, unit=f"{item} {axis}", by=by, value=level, scale=axis)
        for axis, level in decision.get("scores", {}).items()
    ]


def _pair(item: str, first: str, second: str) -> str:
    return f"{item} {first} {second}"


def preferred(first: int, second: int) -> Literal["first", "second", "tie"]:
    """Which of two places from the top is the better one."""
    return "tie" if first == second else "first" if first < second else "second"


def agreement(votes: Sequence[Vote], *, bootstrap: Bootstrap) -> dict[str, Agreement]:
    """How far people agree on each scale that there are votes of."""
    return {
        scale: _agreement(tuple(vote for vote in votes if vote.scale == scale), scale, bootstrap)
        for scale in dict.fromkeys(vote.scale for vote in votes)
    }


@lru_cache(maxsize=256)  # seconds for a thousand votes, and the owner's page tells the same of every batch each time
def _agreement(votes: tuple[Vote, ...], scale: str, bootstrap: Bootstrap) -> Agreement:
    counts, items = _counts(votes, PREFERRED if scale == PAIRS else LEVELS)
    return Agreement(
        alpha=alpha(counts, "nominal" if scale == PAIRS else "ordinal", groups=items, bootstrap=bootstrap),
        same=share_of_same(counts, groups=items, bootstrap=bootstrap),
        units=len(counts),
    )


def _counts(votes: Sequence[Vote], values: Sequence[str | int]) -> tuple[Floats, list[str]]:
    """How many people gave each value to each unit with two votes or more, (N, V), and the item of each unit."""
    told = [list(unit.values()) for unit in _by_unit(votes).values() if len(unit) > 1]
    counts = np.zeros((len(told), len(values)))
    for at, unit in enumerate(told):
        for vote in unit:
            counts[at, values.index(vote.value)] += 1
    return counts, [unit[0].item for unit in told]


def alpha(
    counts: Floats, level: Literal["nominal", "ordinal"], *, groups: Sequence[str], bootstrap: Bootstrap
) -> Score:
    """Krippendorff's alpha (2004, chapter 11). counts: people by unit and value, (N, V); groups: the units' items.

    No interval where every resample gives the same figure, which is where the bootstrap is blind.
    """
    import krippendorff

    def of_resample(drawn: Floats) -> float:
        again = np.repeat(counts, drawn.astype(int), axis=0)
        if np.count_nonzero(again.sum(axis=0)) < 2:
            return math.nan  # one value all over: nothing could have been said otherwise
        return float(krippendorff.alpha(value_counts=again, level_of_measurement=level))

    measure = Measure(rows=len(counts), statistic=lambda drawn: np.array([of_resample(row) for row in drawn]))
    return _sighted(with_interval(measure, bootstrap, groups=groups))


def share_of_same(counts: Floats, *, groups: Sequence[str], bootstrap: Bootstrap) -> Score:
    """The share of all two people who gave a unit the same value. counts, groups: as in `alpha`."""
    people = counts.sum(axis=1)
    same, pairs = (counts * (counts - 1)).sum(axis=1), people * (people - 1)
    return _sighted(with_interval(ratio(same, pairs), bootstrap, groups=groups))


def kappa(
    first: Sequence[T], second: Sequence[T], values: Sequence[T], *, groups: Sequence[str], bootstrap: Bootstrap,
    is_ordered: bool = False,
) -> Score:  # fmt: skip
    """Cohen's kappa of what two said of the same units, NaN where chance alone would agree throughout.

    values: all that can be said; is_ordered: they are levels, and a miss weighs by the square of its size (Cohen
    1968). As in scikit-learn's cohen_kappa_score, which takes 2 ms a resample where this takes 10 us.
    """
    places = {value: at for at, value in enumerate(values)}
    table = np.zeros((len(first), len(values), len(values)))
    for at, (one, other) in enumerate(zip(first, second, strict=True)):
        table[at, places[one], places[other]] = 1
    apart = np.subtract.outer(np.arange(len(values)), np.arange(len(values)))
    weights = (apart**2 if is_ordered else apart != 0).astype(np.float64)

    def figure(totals: Floats) -> Floats:
        seen = totals.reshape(-1, len(values), len(values))
        by_chance = seen.sum(axis=2)[:, :, None] * seen.sum(axis=1)[:, None, :]
        count = seen.sum(axis=(1, 2))
        return 1 - divide((weights * seen).sum(axis=(1, 2)) * count, (weights * by_chance).sum(axis=(1, 2)))

    measure = of_sums(table.reshape(len(table), len(values) ** 2), figure)
    return _sighted(with_interval(measure, bootstrap, groups=groups))


def both_ways(votes: Sequence[Vote]) -> list[tuple[Vote, Vote]]:
    """Each two people's votes on the same unit, in both orders, since neither is the one to be measured by."""
    found = []
    for unit in _by_unit(votes).values():
        for one, other in combinations(unit.values(), 2):
            found += [(one, other), (other, one)]
    return found


def _by_unit(votes: Sequence[Vote]) -> dict[str, dict[str, Vote]]:
    found: dict[str, dict[str, Vote]] = {}
    for vote in votes:
        found.setdefault(vote.unit, {})[vote.by] = vote  # the last one of a person counts
    return found


def _sighted(score: Score) -> Score:
    """Without an interval where it has no width: every resample is the same, and says nothing of the spread."""
    return replace(score, low=math.nan, high=math.nan) if score.low == score.high else score
