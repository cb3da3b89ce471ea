"""Rules of grammar: each wrong sentence has a fault, each right one none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.heuristic.english import broken_rules, faults_in
from tests.tasks.judging.heuristic.english.pairs import (
    AGREEMENT,
    DETERMINERS,
    FINE,
    PRONOUNS,
    QUESTIONS,
    VERB_FORMS,
    pairs,
)

EVERY = [pair for text in (DETERMINERS, PRONOUNS, AGREEMENT, VERB_FORMS, QUESTIONS) for pair in pairs(text)]
ANIMALS = st.sampled_from(["dog", "rabbit", "horse", "kitten", "turtle", "squirrel"])
PLACES = st.sampled_from(["near the gate", "in the old barn", "behind the trees", "with the two boys"])
ADJECTIVES = st.sampled_from(["", "little ", "big brown ", "very hungry "])


@pytest.mark.parametrize(("right", "wrong"), EVERY)
def test_pairs(right: str, wrong: str) -> None:
    assert broken_rules(right) == ()
    assert broken_rules(wrong)


@pytest.mark.parametrize("sentence", FINE.strip().splitlines())
def test_what_only_looks_like_a_fault(sentence: str) -> None:
    assert broken_rules(sentence) == ()


@given(animal=ANIMALS, place=PLACES, adjective=ADJECTIVES, many=st.booleans())
def test_number_is_carried_across_what_stands_between(animal: str, place: str, adjective: str, many: bool) -> None:
    head = f"{adjective}{animal}{'s' if many else ''} {place}"
    right, wrong = ("were", "was") if many else ("was", "were")
    assert broken_rules(f"The {head} {right} asleep.") == ()
    assert [found.rule for found in broken_rules(f"The {head} {wrong} asleep.")] == ["noun_agreement"]


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert len(broken_rules(text)) <= max(1, len(text))


def test_a_fault_says_where_it_stands() -> None:
    (found,) = broken_rules("At night they was cold.")
    assert (found.rule, found.at, found.shown) == ("pronoun_agreement", 2, "they was")
    found_in = faults_in(["They was cold.", "They were warm.", "She have a hat."])
    assert [found.shown for found in found_in] == ["they was", "she have"]
