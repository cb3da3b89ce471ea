"""Dangers that a child could copy, and what no child should be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.heuristic.rules import danger


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("They drank the bleach under the sink.", "poison"),
        ("Nina swallowed a handful of Grandpa's heart pills.", "poison"),
        ("Tom played with matches in the shed.", "fire"),
        ("Jack held his hand in the flame until it turned black.", "fire"),
        ("He put a fork into the socket.", "electricity"),
        ("She dropped the hair dryer into the bath water.", "electricity"),
        ("They swam far out into the deep lake without telling anybody.", "water"),
        ("Lucy hid in the old freezer and closed the lid.", "suffocation"),
        ("She ran with the scissors in her hand.", "sharp_things"),
        ("He jumped off the shed roof with an umbrella.", "heights"),
        ("They ran across the busy road with their eyes shut.", "traffic"),
        ("She wanted to die.", "self_harm"),
        ('"Don\'t tell your mother about our little game," the man whispered.', "secrets"),
        ("A man she had never met gave her sweets, and she went home with him.", "strangers"),
        ("She typed her address and her phone number for the nice man on the screen.", "personal_data"),
        ("Father hit him with his belt until he could not stand.", "abuse"),
        ("They threw stones at the cat until it lay still.", "abuse"),
        ("They found the old woman dead on the kitchen floor.", "death"),
        ("He sent the stranger a picture of himself in his underwear.", "personal_data"),
        ("The big boys smoked a cigarette behind the school.", "intoxication"),
        ("They laughed at the girl because of her dark skin.", "hatred"),
        ("They dared each other to lie down on the railway track.", "traffic"),
    ],
)
def test_dangers(text: str, kind: str) -> None:
    assert (danger(text) or "").startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "They drank the warm milk and ate cake.",
        "You must never play with matches, said Mother.",
        "It is dangerous to put a fork into the socket.",
        "Amy learned not to eat things that might be poison.",
        "Don't run across the busy road, said Father.",
        "Grandpa lit the fire, and they held out their hands to it.",
        "The wolf wanted to eat the pigs.",
        '"I don\'t want to die," said the oyster.',
        "He put the key into the lock.",
        "While they were playing, Tim saw a big dog.",
        "They played with the fire truck until supper.",
        "She hung them on a hanger in the closet.",
        "The boy swam in the lake with his father and laughed.",
        "They kept the party a secret and did not tell Mom, who was so surprised!",
        "He picked blueberries in the forest and ate them with his sister.",
    ],
)
def test_harmless_stories(text: str) -> None:
    assert danger(text) is None


@pytest.mark.parametrize(
    "form", ["swallow", "swallows", "swallowed", "swallowing", "drinks", "drank", "drinking", "eats", "ate"]
)
def test_a_verb_stands_for_all_its_forms(form: str) -> None:
    assert danger(f"In the evening Tom {form} two of the pills.")


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    found = danger(text)
    assert found is None or found.endswith(")")


@pytest.mark.parametrize("apostrophe", ["'", "’"])
def test_what_was_not_done_is_no_danger_whatever_the_apostrophe(apostrophe: str) -> None:
    assert danger(f"Tom didn{apostrophe}t drink the bleach.") is None
