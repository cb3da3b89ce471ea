"""Measures, what is usual of them, and what a step off costs."""

import numpy as np
import pytest

from tasks.judging.heuristic.faults import forms_of, repair_gains
from tasks.judging.heuristic.measures import (
    Copied,
    distinct_words,
    excess_bits,
    newcomers,
    prompt_gain,
    repetition,
    slips,
    worst_windows,
)
from tasks.judging.heuristic.places import early_mentions, learn_places
from tasks.judging.heuristic.reading import Reading
from tasks.judging.heuristic.reference import Usual, level, usual
from tasks.judging.heuristic.shares import likeness
from tasks.judging.heuristic.vocabulary import Vocabulary, misspelt
from tests.tasks.judging.heuristic.small import Name, judge, story


def test_levels_of_the_median_and_of_the_worst_twentieth() -> None:
    assert level(0) == pytest.approx(4.6)
    assert level(1) == pytest.approx(4.0)
    assert level(2) == pytest.approx(3.0)
    assert level(1e9) == pytest.approx(1.0)
    assert 4.6 < level(-2) < 5


def test_steps_count_from_the_median_to_the_bad_end() -> None:
    one = Usual(low=1, median=2, high=4)
    assert one.steps(4, bad="high", least=0.1, better=0, free=0) == 1
    assert one.steps(0, bad="low", least=0.1, better=0, free=0) == 2
    assert one.steps(6, bad="high", least=0.1, better=0, free=1) == 1
    assert one.steps(0, bad="high", least=0.1, better=0, free=0) == 0
    assert (
        -1
        < one.steps(-9, bad="high", least=0.1, better=1, free=0)
        < one.steps(0, bad="high", least=0.1, better=1, free=0)
    )
    assert Usual(low=0, median=0, high=0).steps(0.5, bad="high", least=0.5, better=0, free=0) == 1


def test_quantiles_are_weighted() -> None:
    assert usual([0.0, 1.0], [1.0, 99.0]).median > 0.9
    assert usual(list(range(101)), [1.0] * 101).high == pytest.approx(95.45, abs=0.1)


def test_worst_windows_are_a_mean_of_the_worst() -> None:
    costs = np.array([0.0] * 50 + [9.0] + [0.0] * 49)
    assert worst_windows(costs, words=3, share=0.01) == 3.0
    assert worst_windows(np.tile(costs, 3), words=3, share=0.01) == 3.0  # three times as long, no worse
    assert worst_windows(np.array([4.0, 2.0]), words=3, share=0.1) == 3.0


def test_repetition_and_copying() -> None:
    words = ["the", "dog", "ran", "to", "the", "big", "red", "house", "by", "the", "sea"]
    assert repetition(words) == 0
    assert repetition(words * 3) > 0.5
    assert distinct_words(words * 10) < distinct_words(words)
    copied = Copied.of([" ".join(words)], 4)
    assert copied.share(words) == 1
    assert copied.share(list(reversed(words))) == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Tom ran home. He was happy.", 0),
        ("tom ran home. He was happy", 2),
        ("Tom saw a apple. He was happy.", 1),
        ("Tom saw an hour glass and a unicorn. He was was happy.", 1),
        ('"Come here, said Tom. He was happy.', 1),
    ],
)
def test_slips(text: str, count: int) -> None:
    assert slips(Reading(text, 0)) * 2 == pytest.approx(count, abs=0.01)


def test_misspelt_words_and_names() -> None:
    own = Vocabulary.of(["the fox clonked"])
    assert misspelt("Zorbly said that the fox clonked hapily. Zorbly goed home.", own) == ["hapily", "goed"]


def test_the_share_of_the_request_that_is_taken_up() -> None:
    own = Vocabulary.of([story(n) for n in range(20)])
    request = "Write a story with the words hippo, umbrella."
    assert prompt_gain(request, ["two", "umbrellas", "and", "hippos"], own) == pytest.approx(1)
    assert 0.2 < (prompt_gain(request, ["hippo"] * 20, own) or 0) < 0.8
    assert prompt_gain(request, ["nothing"], own) == 0
    assert prompt_gain("Write a story.", ["nothing"], own) is None


def test_what_stands_in_its_place_gains() -> None:
    stories = [
        [f"Once there was a fox {n}.", "Then it ran.", "But it fell.", "It cried.", "In the end all slept."]
        for n in range(9)
    ]
    places = learn_places(stories)
    assert places.gain(stories[0]) > 0 > places.gain(stories[0][::-1])
    assert places.believed_end(stories[0]) > places.believed_end(stories[0][::-1])
    assert places.gain(["Alone."]) == 0


def test_introductions_that_come_too_late() -> None:
    told = ["There was a fox named Tom.", "The fox ran.", "Tom fell."]
    assert early_mentions(told) == 0
    assert early_mentions(told[::-1]) > 0.5
    assert early_mentions(["He ran.", "Tom fell."]) > 0
    assert early_mentions([]) == 0


@pytest.mark.parametrize("name", ["heuristic-a", "heuristic-b"])
@pytest.mark.parametrize(
    ("right", "wrong"), [("was very sad", "were very sad"), ("a little", "little"), ("lived by the", "lived the by")]
)
def test_repairs_are_found_where_there_is_a_fault(name: Name, right: str, wrong: str) -> None:
    learnt = judge(name).learnt
    texts = [story(300), story(300).replace(right, wrong)]
    costs = [
        excess_bits(text, bits, learnt.knowledge.vocabulary)
        for text, bits in zip(texts, learnt.model.word_bits(texts), strict=True)
    ]
    good, bad = repair_gains(
        [text.split() for text in texts], costs, first=[0, 0], forms=learnt.knowledge.forms, model=learnt.model
    )
    assert good < bad


def test_persons_who_come_and_go() -> None:
    kept = "Tom met Mia. Then Tom ran, and Mia ran after Tom."
    lost = "Tom met Mia. Then Ben ran, and Ann ran after Sam."
    assert newcomers(kept) == 0.25
    assert newcomers(lost) == 1
    assert newcomers("It rained.") == 0


def test_forms_of_one_word_stand_together() -> None:
    forms = forms_of({"look": 3, "looked": 5, "went": 2, "go": 1, "cat": 1})
    assert ("looked", "look") in forms.values()
    assert ("went", "go") in forms.values()


def test_likeness_to_a_reference() -> None:
    assert likeness("The cherries!", "cherries") == 1
    assert likeness("cherries and plums", "cherries") > likeness("a wheelbarrow", "cherries")
    assert likeness("", "cherries") == 0
