import math

import numpy as np
import pytest

from tasks.evaluation.intervals import Bootstrap, Measure, Score, difference, interval, mean, ratio, with_interval

DRAWN = Bootstrap(resamples=2_000, confidence=0.95, seed=3)


def test_the_mean_of_a_coin_has_the_interval_of_the_textbook() -> None:
    # 400 throws, half heads: 1.96 * sqrt(.25 / 400) = .049 on both sides
    low, high = interval(mean([0.0, 1.0] * 200), DRAWN)
    assert low == pytest.approx(0.5 - 0.049, abs=0.005)
    assert high == pytest.approx(0.5 + 0.049, abs=0.005)


def test_the_same_seed_gives_the_same_interval_another_one_another() -> None:
    scores = mean(np.random.default_rng(0).random(30))
    other = Bootstrap(resamples=2_000, confidence=0.95, seed=4)
    assert interval(scores, DRAWN) == interval(scores, DRAWN)
    assert interval(scores, DRAWN) != interval(scores, other)


def test_a_ratio_is_of_sums_and_undefined_of_nothing() -> None:
    assert ratio([1, 3], [2, 6]).value == pytest.approx(4 / 8)
    assert math.isnan(ratio([0, 0], [0, 0]).value)
    assert math.isnan(mean([]).value)
    assert all(math.isnan(end) for end in interval(mean([]), DRAWN))


def test_rows_of_a_group_are_drawn_together() -> None:
    scores = np.repeat(np.random.default_rng(1).random(20), 10)  # ten equal rows a group: 20 facts, not 200
    alone, whole = (
        interval(mean(scores), DRAWN),
        interval(mean(scores), DRAWN, groups=np.repeat(range(20), 10).astype(str)),
    )
    assert whole[1] - whole[0] > 2.5 * (alone[1] - alone[0])


def test_too_few_groups_are_not_drawn_and_a_wrong_count_is_an_error() -> None:
    scores = mean(np.random.default_rng(1).random(40))
    assert interval(scores, DRAWN, groups=["one book"] * 40) == interval(scores, DRAWN)
    with pytest.raises(ValueError, match="3 groups for 40 rows"):
        interval(scores, DRAWN, groups=["a", "b", "c"])


def test_a_paired_difference_is_narrower_than_either() -> None:
    hard = np.random.default_rng(2).random(100)
    gain = difference(mean(hard + 0.1), mean(hard), DRAWN)
    assert (gain.value, gain.low, gain.high) == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    with pytest.raises(ValueError, match="same rows"):
        difference(mean([1.0]), mean([1.0, 2.0]), DRAWN)


def test_resamples_without_a_figure_are_left_out() -> None:
    def only_where_the_first_was_drawn(drawn: np.ndarray) -> np.ndarray:
        return np.where(drawn[:, 0] > 0, 0.5, np.nan)

    score = with_interval(Measure(rows=3, statistic=only_where_the_first_was_drawn), DRAWN)
    assert (score.value, score.low, score.high) == (0.5, 0.5, 0.5)


def test_what_is_undefined_is_null_among_the_figures() -> None:
    score = Score(value=0.5, low=0.25, high=math.nan)
    assert score.figures("rate") == {"rate": 0.5, "rate_low": 0.25, "rate_high": None}
