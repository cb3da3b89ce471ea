"""Dangers that a child could copy."""

import pytest

from tasks.judging.heuristic.rules import danger


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("They drank the bleach under the sink.", "poison"),
        ("Tom played with matches in the shed.", "fire"),
        ("He put a fork into the socket.", "electricity"),
        ("She wanted to die.", "self_harm"),
    ],
)
def test_dangers(text: str, kind: str) -> None:
    assert (danger(text) or "").startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "They drank the warm milk and ate cake.",
        "You must never play with matches, said Mother.",
        "Grandpa lit the fire, and they held out their hands to it.",
        "The wolf wanted to eat the pigs.",
        "He put the key into the lock.",
    ],
)
def test_harmless_stories(text: str) -> None:
    assert danger(text) is None
