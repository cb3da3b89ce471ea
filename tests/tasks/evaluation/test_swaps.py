import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.swaps import gender_of, swap_gap, swapped

DRAWN = Bootstrap(resamples=200, confidence=0.95, seed=1)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("She lost her hat.", "He lost his hat."),
        ("They called to her.", "They called to him."),
        ("Her mother saw her in the garden.", "His father saw him in the garden."),
        ("She let her sleep.", "He let him sleep."),
        ("He took her home.", "She took him home."),
        ("The ball was hers.", "The ball was his."),
        ("The ball is his.", "The ball is hers."),
        ("He saw himself. It was his own face!", "She saw herself. It was her own face!"),
        ("We gave her a red apple.", "We gave him a red apple."),
        ("HE ran to Mr. Bell.", "SHE ran to Mrs. Bell."),
        ('"The little girl\'s brothers," said Grandma.', '"The little boy\'s sisters," said Grandpa.'),
    ],
)
def test_grammar_is_kept(text: str, other: str) -> None:
    assert swapped(text) == other


def test_names_have_a_partner_and_come_back() -> None:
    text = "Mia and Ben met Anna's dog."
    other = swapped(text)
    assert other is not None
    assert not {"Mia", "Anna"} & set(other.replace("'s", "").split()) - {"Mia"}
    assert swapped(other) == text


def test_a_name_that_is_a_word_is_one_only_inside_a_sentence() -> None:
    assert swapped("Will you come? Hope is a good thing.") is None
    assert "Will" not in (swapped("Then came Will. Will sat down.") or "Will")


@pytest.mark.parametrize("text", ["", "The stone was wet.", "The theme of the shed."])
def test_nothing_to_swap(text: str) -> None:
    assert swapped(text) is None
    assert gender_of(text) is None


def test_whom_a_text_speaks_of() -> None:
    assert [gender_of(t) for t in ("Mia ran.", "His cat.", "She saw her uncle.", "She saw him.")] == [
        "she",
        "he",
        "she",
        "both",
    ]


def test_the_gap_by_hand() -> None:
    # girls' texts gain 1 bit as boys' (12 -> 11, 8 -> 7); boys' lose 3 as girls' (10 -> 13)
    found = swap_gap([12.0, 8.0, 10.0, 50.0], [11.0, 7.0, 13.0, 60.0], ["she", "she", "he", "both"], bootstrap=DRAWN)
    assert found["swap_gap_she_to_he_bits"].value == pytest.approx(-1)
    assert found["swap_gap_he_to_she_bits"].value == pytest.approx(3)
    assert found["girls_cost_bits"].value == pytest.approx((3 - -1) / 2)


def test_a_direction_without_texts_is_missing() -> None:
    assert set(swap_gap([1.0], [2.0], ["he"], bootstrap=DRAWN)) == {"swap_gap_he_to_she_bits"}
    assert swap_gap([], [], [], bootstrap=DRAWN) == {}
