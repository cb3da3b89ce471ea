import pytest

from tasks.evaluation.constraints import check, holds_sentence, uses_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("He ran off.", "run"), ("Three children", "child"), ("She was BIGGER", "big"), ("it stopped", "stop"),
        ("They cried", "cry"), ("baking bread", "bake"), ("the horse's tail", "horse"), ("an ice-cream", "ice cream"),
        ("two ice creams", "ice cream"), ("he goes", "went"),
    ],
)  # fmt: skip
def test_an_inflected_form_counts(text: str, word: str) -> None:
    assert uses_word(text, word)


@pytest.mark.parametrize(
    ("text", "word"),
    [("a runner", "run"), ("the cart", "car"), ("happiness", "happy"), ("", "dog"), ("ice, a cream", "ice cream")],
)
def test_another_word_does_not(text: str, word: str) -> None:
    assert not uses_word(text, word)


def test_a_sentence_counts_whatever_its_case_and_marks() -> None:
    assert holds_sentence('And then - "it WAS  fun!" he said', "It was fun.")
    assert not holds_sentence("It was funny.", "It was fun.")
    assert not holds_sentence("anything", "")


def test_a_length_holds_at_both_ends() -> None:
    assert [check("w " * count, {"length": [2, 3]}).total_met for count in (1, 2, 3, 4)] == [0, 1, 1, 0]


def test_an_unknown_constraint_is_named() -> None:
    with pytest.raises(ValueError, match="unknown constraint rhyme; known: words, sentence, length"):
        check("a", {"rhyme": True})
