"""Agreement of people, against published figures, against scikit-learn, and where it is known beforehand."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tasks.evaluation.intervals import Bootstrap
from tasks.reviews.agreement import LEVELS, PAIRS, Vote, agreement, alpha, both_ways, kappa, share_of_same, votes_of

BOOTSTRAP = Bootstrap(resamples=100, confidence=0.95, seed=1)
ANSWERS = ("a", "b", "c")

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part C: four observers, twelve units, five values
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def published() -> list[Vote]:
    return [
        Vote(item=f"item {unit}", unit=str(unit), by=f"observer {who}", value=int(value), scale="quality")
        for who, row in enumerate(OBSERVERS)
        for unit, value in enumerate(row)
        if value != "."
    ]


def choices(told: list[tuple[str, str]]) -> list[Vote]:
    """Of two people on each item."""
    return [
        vote
        for at, both in enumerate(told)
        for by, winner in enumerate(both)
        for vote in votes_of("choice", {"winner": winner}, item=f"b/{at}", shown=["b", "a"], by=f"reader {by}")
    ]


def test_the_published_example() -> None:
    found = agreement(published(), bootstrap=BOOTSTRAP)["quality"]
    assert found.alpha.value == pytest.approx(0.815, abs=5e-4)  # ordinal
    assert found.units == 11  # one was seen by a single observer
    assert 0.4 < found.alpha.low < found.alpha.value < found.alpha.high <= 1


def test_the_published_example_taken_as_names() -> None:
    counts = np.array([[[row[unit] for row in OBSERVERS].count(str(v)) for v in LEVELS] for unit in range(12)], float)
    groups = [str(unit) for unit in range(12)]
    assert alpha(counts, "nominal", groups=groups, bootstrap=BOOTSTRAP).value == pytest.approx(0.743, abs=5e-4)


WINNERS = st.sampled_from(["a", "b", "tie", "both_bad"])


@settings(max_examples=30, deadline=None)
@given(st.lists(WINNERS, min_size=2, max_size=20))
def test_people_who_always_agree_have_alpha_one_or_none(winners: list[str]) -> None:
    found = agreement(choices([(winner, winner) for winner in winners]), bootstrap=BOOTSTRAP)[PAIRS]
    assert found.same.value == 1
    if len(set(winners)) > 1:
        assert found.alpha.value == pytest.approx(1)
    else:
        assert math.isnan(found.alpha.value)  # they could not have disagreed
    assert math.isnan(found.same.low)  # every resample is the same: nothing is known of the spread


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(WINNERS, WINNERS), min_size=1, max_size=20))
def test_it_does_not_matter_who_said_which(told: list[tuple[str, str]]) -> None:
    found, turned = (
        agreement(choices(both), bootstrap=BOOTSTRAP)[PAIRS] for both in (told, [(two, one) for one, two in told])
    )
    assert found.alpha.value == pytest.approx(turned.alpha.value, nan_ok=True)
    assert found.same.value == pytest.approx(sum(one == two for one, two in told) / len(told))


LABELS = st.sampled_from(LEVELS)


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("is_ordered", [True, False])
@given(st.lists(st.tuples(LABELS, LABELS), min_size=2, max_size=30))
def test_kappa_is_that_of_scikit_learn(is_ordered: bool, told: list[tuple[int, int]]) -> None:
    first, second = [one for one, _ in told], [two for _, two in told]
    groups = [str(at) for at in range(len(told))]
    own = kappa(first, second, LEVELS, groups=groups, bootstrap=BOOTSTRAP, is_ordered=is_ordered).value
    if len({*first, *second}) == 1:
        assert math.isnan(own)
        return
    weights = "quadratic" if is_ordered else None
    assert own == pytest.approx(cohen_kappa_score(first, second, labels=LEVELS, weights=weights))


def test_chance_is_no_agreement_and_the_interval_holds_nought() -> None:
    rng = np.random.default_rng(3)
    told = [(ANSWERS[rng.integers(2)], ANSWERS[rng.integers(2)]) for _ in range(300)]
    found = agreement(choices(told), bootstrap=BOOTSTRAP)[PAIRS]
    assert found.alpha.low < 0 < found.alpha.high
    assert found.same.value == pytest.approx(0.5, abs=0.1)


def test_a_ranking_is_a_vote_on_each_two_answers() -> None:
    told = votes_of("ranking", {"tiers": [["c"], ["a", "b"]]}, item="b/1", shown=["c", "a", "b"], by="reader")
    assert [vote.value for vote in told] == ["tie", "second", "second"]
    assert len({vote.unit for vote in told}) == 3
    assert {vote.item for vote in told} == {"b/1"}


def test_a_choice_and_a_ranking_of_the_same_two_are_the_same_vote() -> None:
    for decision, tiers in (({"winner": "b"}, [["b"], ["a"]]), ({"winner": "tie"}, [["a", "b"]])):
        told = votes_of("choice", decision, item="b/1", shown=["b", "a"], by="reader")
        assert told == votes_of("ranking", {"tiers": tiers}, item="b/1", shown=["a", "b"], by="reader")


def test_a_rating_is_a_vote_on_each_axis_and_a_correction_is_none() -> None:
    told = votes_of("rating", {"scores": {"grammar": 2, "quality": 5}}, item="b/1", shown=["a"], by="reader")
    assert [(vote.scale, vote.value) for vote in told] == [("grammar", 2), ("quality", 5)]
    assert votes_of("correction", {"text": "Better."}, item="b/1", shown=["a"], by="reader") == []


def test_two_votes_of_one_person_are_no_agreement() -> None:
    told = [vote for winner in ("a", "b") for vote in votes_of("choice", {"winner": winner}, item="b/1",
                                                                shown=["a", "b"], by="reader")]  # fmt: skip
    found = agreement(told, bootstrap=BOOTSTRAP)[PAIRS]
    assert found.units == 0
    assert math.isnan(found.alpha.value)
    assert both_ways(told) == []


def test_the_share_of_same_counts_every_two_people() -> None:
    counts = np.array([[3.0, 0, 0], [2, 1, 0], [0, 0, 3], [1, 1, 1]])
    found = share_of_same(counts, groups=list("abcd"), bootstrap=BOOTSTRAP)
    expected = [sum(one == two for one, two in combinations(labels, 2)) / 3 for labels in ("xxx", "xxy", "zzz", "xyz")]
    assert found.value == pytest.approx(sum(expected) / 4)


def test_people_are_told_in_both_orders() -> None:
    found = both_ways(choices([("a", "b"), ("tie", "tie")]))
    assert [(one.value, two.value) for one, two in found[:2]] == [("first", "second"), ("second", "first")]
    assert len(found) == 4


def test_no_votes_no_figures() -> None:
    assert agreement([], bootstrap=BOOTSTRAP) == {}
