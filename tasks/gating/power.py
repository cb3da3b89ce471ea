"""How many decisive pairs tell a win rate from one half."""

import math
from statistics import NormalDist

from tasks.evaluation.intervals import Score

POWER = 0.8


def pairs_needed(rate: float, *, confidence: float = 0.95, power: float = POWER) -> int | None:
    """Decisive pairs with which a true rate is told from one half, two-sided; None where it is one half.

    The normal approximation of the sign test: 194 for a rate of .6 with 95 % confidence and 80 % power.
    """
    if math.isnan(rate) or round(rate, 6) == 0.5:
        return None
    sure, seen = (NormalDist().inv_cdf(share) for share in (0.5 + confidence / 2, power))
    return math.ceil(((sure * 0.5 + seen * math.sqrt(rate * (1 - rate))) / (rate - 0.5)) ** 2)


def inflation(score: Score, decisive: int, *, confidence: float) -> float:
    """How much wider in variance an interval is than that of as many independent pairs; at least 1.

    Where one model's answers are nearly always the longer ones, little is known of equal lengths.
    """
    if not decisive or math.isnan(score.low):
        return 1.0
    plain = NormalDist().inv_cdf(0.5 + confidence / 2) * 0.5 / math.sqrt(decisive)
    return max(1.0, ((score.high - score.low) / 2 / plain) ** 2)
