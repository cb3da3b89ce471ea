"""How many decisive pairs settle it."""

import math

import pytest

from tasks.evaluation.intervals import Score
from tasks.gating.power import inflation, pairs_needed


@pytest.mark.parametrize(("rate", "pairs"), [(0.6, 194), (0.4, 194), (0.7, 47), (0.55, 783)])
def test_the_pairs_that_tell_a_rate_from_one_half(rate: float, pairs: int) -> None:
    assert pairs_needed(rate) == pairs


@pytest.mark.parametrize("rate", [0.5, math.nan])
def test_no_number_of_pairs_tells_one_half_from_itself(rate: float) -> None:
    assert pairs_needed(rate) is None


def test_the_formula_has_the_power_that_it_promises() -> None:
    """Of the normal approximation itself: the share of samples of 194 at .6 that are beyond 1.96 errors of .5."""
    pairs, rate = 194, 0.6
    least = math.ceil(pairs * 0.5 + 1.959964 * 0.5 * math.sqrt(pairs))
    beyond = math.fsum(math.comb(pairs, k) * rate**k * (1 - rate) ** (pairs - k) for k in range(least, pairs + 1))
    assert beyond == pytest.approx(0.8, abs=0.02)


def test_an_interval_wider_than_that_of_so_many_pairs_needs_more_of_them() -> None:
    plain = 1.959964 * 0.5 / math.sqrt(100)
    score = Score(value=0.6, low=0.6 - 2 * plain, high=0.6 + 2 * plain)
    assert inflation(score, 100, confidence=0.95) == pytest.approx(4)
    narrow = Score(value=0.6, low=0.59, high=0.61)
    assert inflation(narrow, 100, confidence=0.95) == 1
    assert inflation(Score(value=math.nan, low=math.nan, high=math.nan), 100, confidence=0.95) == 1
