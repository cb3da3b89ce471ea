"""What the page sends is either a decision of the card's kind or refused in one line."""

from typing import Any

import pytest

from tasks.reviews.decisions import decision_of
from tasks.reviews.kinds import Kind
from tests.conftest import refused

SIDES = ("right-hand", "left-hand", "third")
AXES = ("grammar", "plot")


def decided(kind: Kind, said: dict[str, Any]) -> Any:
    return decision_of(kind, said, sides=SIDES[: 3 if kind == "ranking" else 2], axes=AXES)


@pytest.mark.parametrize(
    ("kind", "said", "kept"),
    [
        ("choice", {"side": "left"}, {"winner": "right-hand"}),
        ("choice", {"side": "right"}, {"winner": "left-hand"}),
        ("choice", {"side": "both_bad"}, {"winner": "both_bad"}),
        ("ranking", {"tiers": [[2], [0, 1]]}, {"tiers": [["third"], ["left-hand", "right-hand"]]}),
        ("ranking", {"tiers": [[2], [], [1], [0]]}, {"tiers": [["third"], ["left-hand"], ["right-hand"]]}),
        ("rating", {"scores": {"plot": 5, "grammar": 1}}, {"scores": {"grammar": 1, "plot": 5}}),
        ("correction", {"text": " One\r\nday\x00,\ud800 a cat. "}, {"text": "One\nday, a cat."}),
    ],
)
def test_it_is_kept_in_terms_of_the_answers(kind: Kind, said: dict[str, Any], kept: dict[str, Any]) -> None:
    assert decided(kind, said) == kept


@pytest.mark.parametrize(
    ("kind", "said", "told"),
    [
        ("choice", {}, "allowed: left, right, tie, both_bad"),
        ("choice", {"side": []}, "allowed: left, right"),
        ("choice", {"side": {"left": 1}}, "allowed: left, right"),
        ("ranking", {"tiers": [[0], [1]]}, "places 0 to 2 once"),
        ("ranking", {"tiers": [[0], [1], [2, 2]]}, "places 0 to 2 once"),
        ("ranking", {"tiers": [[0], [True], [2]]}, "places 0 to 2 once"),
        ("ranking", {"tiers": [[0], [1], [2], "x"]}, "places 0 to 2 once"),
        ("ranking", {"tiers": "012"}, "places 0 to 2 once"),
        ("ranking", {"tiers": [[0], ["1"], [2]]}, "places 0 to 2 once"),
        ("rating", {"scores": {"plot": 5}}, "each of grammar, plot once"),
        ("rating", {"scores": {"plot": 6, "grammar": 1}}, "plot is 6; allowed: 1 to 5"),
        ("rating", {"scores": {"plot": True, "grammar": 1}}, "plot is True"),
        ("rating", {"scores": [1, 2]}, "each of grammar, plot once"),
        ("correction", {"text": " \x00 "}, "is empty"),
        ("correction", {"text": 5}, "is empty"),
        ("correction", {"text": "x" * 20_001}, "at most 20,000"),
    ],
)
def test_anything_else_is_refused(kind: Kind, said: dict[str, Any], told: str) -> None:
    with refused(told):
        decided(kind, said)
