"""Length, characters, repetition; and the n-grams they are counted on."""

import numpy as np
import pytest

from tasks.cleaning.quality import Characters, length_problem, repeated_lines, repeated_ngrams, repetition_problems
from tasks.cleaning.words import hash_words, ngrams, split_words
from tasks.prepare import PrepareParams

STORY = (
    "One day a small grey mouse found a red button under the stairs. She rolled it home and showed it to her "
    "brothers. They made it into a table and ate their cheese from it every evening until the snow came."
)


def test_ngrams_never_cross_from_one_text_to_the_next() -> None:
    texts = [["a", "b", "c"], [], ["b", "c", "a"], ["x"]]
    grams = ngrams(hash_words(texts), 2)
    assert grams.counts.tolist() == [2, 0, 2, 0]
    values = grams.values.tolist()
    assert values[1] == values[2]  # "b c" in both
    assert len(set(values)) == 3  # and no "c b"


def test_words_are_lower_case_and_an_apostrophe_joins() -> None:
    assert split_words("“Don’t!” Zoë—said, _café_.") == ["dont", "zoë", "said", "café"]
    assert split_words("Don't!  Go-_now_.") == ["dont", "go", "now"]


@pytest.mark.parametrize(
    ("words", "characters", "expected"), [(5, 100, "too_short"), (50, 10, "too_short"), (30_000, 100, "too_long")]
)
def test_length_is_bounded(params: PrepareParams, words: int, characters: int, expected: str) -> None:
    problem = length_problem("x" * characters, words, params.length)
    assert problem is not None
    assert problem[0] == expected


def test_shares_of_repeated_ngrams() -> None:
    texts = [split_words("a b a b a b c d"), split_words("a b c d e f g h")]
    top, repeated = repeated_ngrams(hash_words(texts), 2)
    np.testing.assert_allclose(top, [3 * 2 / 8, 0])  # "a b" three times
    np.testing.assert_allclose(repeated, [5 / 7, 0])  # "a b" three times and "b a" twice of seven


def test_repetition_is_found_and_a_story_passes(params: PrepareParams) -> None:
    texts = [STORY, "Buy the red ball. " * 20, "\n".join(["Same line here"] * 5), "la " * 100]
    problems = repetition_problems(texts, hash_words([split_words(t) for t in texts]), params.repetition)
    assert [bool(problem) for problem in problems] == [False, True, True, True]


def test_a_refrain_in_a_tale_passes(params: PrepareParams) -> None:
    refrain = "Run, run, as fast as you can! You can't catch me, I'm the Gingerbread Man!"
    verses = [
        f"He ran past a {who} that was {doing} in the {place} and laughed out loud at it."
        for who, doing, place in [
            ("cow", "chewing", "meadow"),
            ("farmer", "digging", "field"),
            ("horse", "drinking", "yard"),
        ]
    ]
    text = "\n".join(part for verse in verses for part in (verse, refrain)) + "\n" + STORY
    assert repetition_problems([text], hash_words([split_words(text)]), params.repetition) == [""]


def test_lines_are_counted_only_where_there_are_some() -> None:
    assert repeated_lines("a\na") == 0
    assert repeated_lines("a\nb\nA\nc") == 0.25


@pytest.mark.parametrize(
    "text", ["Мышка бежала, хвостиком махнула. " * 5, "\U0001f600" * 30 + "hi", "1 | 2 | 3 ~~~ {} ^^ " * 9]
)
def test_other_alphabets_and_tables_of_signs_are_found(params: PrepareParams, text: str) -> None:
    problem = Characters(params.characters).problem(text, split_words(text))
    assert problem is not None
    assert problem[0] == "character_set"


@pytest.mark.parametrize("text", [STORY, "Åsa åt ett äpple på en ö — “gott!”", "Zoë's café…"])
def test_european_text_passes(params: PrepareParams, text: str) -> None:
    assert Characters(params.characters).problem(text, split_words(text)) is None
