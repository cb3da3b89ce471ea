import math

import pytest

from tasks.evaluation.fabrication import fabrication, is_refusal, made_up_names, made_up_words, refusal_figures

STORY = "Mia went to the pond with Bodo's dog. The children ran. She was happy."


def test_names_that_the_source_does_not_hold() -> None:
    assert made_up_names("Then Mia met Tom and Bodo. Tom's hat fell. Hats are nice, I think.", STORY) == ["Tom"]
    assert made_up_names("", STORY) == []


def test_words_that_the_source_does_not_hold_in_any_form() -> None:
    assert made_up_words("Mia goes to a dragon; a child was running by the ponds.", STORY) == ["dragon"]


def test_rates_by_hand() -> None:
    answers = ["Then Mia met Tom.", "The dog ran."]
    rates = {name: measure.value for name, measure in fabrication(answers, [STORY, STORY]).items()}
    assert rates == {
        "made_up_names": pytest.approx(1 / 2),  # Mia, Tom
        "made_up_words": pytest.approx(2 / 5),  # mia, met, tom; dog, ran
        "answers_with_made_up_names": pytest.approx(1 / 2),
    }
    assert math.isnan(fabrication(["and so it was"], [STORY])["made_up_names"].value)


def test_refusals_and_those_who_answer_all_the_same() -> None:
    replies = ["The story does not say."]
    assert is_refusal("the story does not say", replies)
    assert is_refusal("The story does not say. Sorry!", replies)
    assert not is_refusal("The story says: a dog", replies)
    answers = ["The story does not say.", "Blue", "", "The story does not say", "Mia"]
    figures = refusal_figures(answers, [False, False, False, True, True], refusals=replies)
    assert figures["answered_unanswerable"].value == pytest.approx(1 / 3)  # Blue; an empty answer answers nothing
    assert figures["refused_answerable"].value == pytest.approx(1 / 2)
    assert math.isnan(refusal_figures(["Mia"], [True], refusals=replies)["answered_unanswerable"].value)
