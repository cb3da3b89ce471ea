"""The minimal pairs: balanced, repeatable, of one length, and wrong in one place only."""

from collections import Counter
from itertools import pairwise

from tasks.storybook.grammar import PHENOMENA, minimal_pairs


def test_pairs_are_balanced_over_at_least_ten_phenomena() -> None:
    counts = Counter(name for _, _, name in minimal_pairs(seed=1, count=300))
    assert set(counts) == set(PHENOMENA)
    assert len(counts) >= 10
    assert max(counts.values()) - min(counts.values()) <= 1


def test_pairs_repeat_for_a_seed_and_differ_for_another() -> None:
    first = list(minimal_pairs(seed=1, count=60))
    assert first == list(minimal_pairs(seed=1, count=60))
    assert first != list(minimal_pairs(seed=2, count=60))


def test_halves_differ_and_have_the_same_number_of_words() -> None:
    for good, bad, name in minimal_pairs(seed=3, count=1500):
        assert good != bad, name
        assert len(good.split()) == len(bad.split()), (good, bad)
        assert good[0].isupper()
        assert bad[0].isupper()
        assert good[-1] in ".?"
        assert good.isascii()


def test_halves_differ_in_one_place() -> None:
    for good, bad, _ in minimal_pairs(seed=4, count=600):
        places = [
            index
            for index, (right, wrong) in enumerate(zip(good.split(), bad.split(), strict=True))
            if right.strip(".?").lower() != wrong.strip(".?").lower()
        ]
        assert 1 <= len(places) <= 4, (good, bad)
        assert all(second - first == 1 for first, second in pairwise(places)) or "?" in good, (good, bad)


def test_few_pairs_come_twice() -> None:
    found = list(minimal_pairs(seed=5, count=1500))
    assert len(set(found)) > 0.95 * len(found)
