"""What people decided becomes preferences: most of them decide, a ranking counts once, gold items teach nothing."""

from typing import Any

import pytest

from tasks.pairing.reviewed import reviewed
from tasks.reviews.batch_file import Prompt
from tests.tasks.reviews.test_batch_file import row

TEXTS = frozenset(("Story 0.", "Story 1."))


def choices(*winners: str, **changes: Any) -> list[Any]:
    return [row(at, decision={"winner": winner}, **changes) for at, winner in enumerate(winners)]


def test_a_choice_is_a_preference() -> None:
    (found,) = reviewed(choices("g1")).preferences
    assert (found.chosen, found.rejected, found.source, found.weight) == ("Story 1.", "Story 0.", "human", 1.0)
    assert found.origin == {"batch": "b", "annotation": 0, "reviewer": "reader-abc123"}


@pytest.mark.parametrize(
    ("winners", "chosen"),
    [(("g1", "g1", "g0"), "Story 1."), (("g0", "g0", "tie"), "Story 0."), (("g1", "g0"), None), (("g1", "tie"), None)],
)
def test_most_people_decide(winners: tuple[str, ...], chosen: str | None) -> None:
    found = reviewed(choices(*winners))
    assert [one.chosen for one in found.preferences] == ([chosen] if chosen else [])
    assert bool(found.rejected["people_disagree"]) == (chosen is None)


def test_the_origin_names_everybody_who_said_so() -> None:
    (found,) = reviewed(choices("g1", "g1", "g0")).preferences
    assert (found.origin["votes"], found.origin["of"]) == (2, 3)
    assert [one["annotation"] for one in found.origin["people"]] == [0, 1]


def test_a_ranking_counts_as_one_judgement() -> None:
    found = reviewed([row(kind="ranking")]).preferences  # g2 above g0 and g1, which are equal
    assert {(one.chosen, one.rejected) for one in found} == {("Story 2.", "Story 0."), ("Story 2.", "Story 1.")}
    assert sum(one.weight for one in found) == pytest.approx(1)


def test_a_correction_is_better_than_what_it_corrects() -> None:
    (found,) = reviewed([row(kind="correction", decision={"text": "A better one."})]).preferences
    assert (found.chosen, found.rejected, found.source) == ("A better one.", "Story 0.", "correction")


def test_what_needed_no_correction_is_no_preference() -> None:
    assert reviewed([row(kind="correction", decision={"text": "Story 0."})]).preferences == []


@pytest.mark.parametrize(("level", "thumbs"), [(5, [True]), (4, [True]), (3, []), (2, [False]), (1, [False])])
def test_a_clear_rating_is_a_thumb(level: int, thumbs: list[bool]) -> None:
    found = reviewed([row(kind="rating", decision={"scores": {"grammar": level, "plot": level}})])
    assert [one.desirable for one in found.thumbs] == thumbs


def test_both_bad_is_two_thumbs_down_and_no_preference() -> None:
    found = reviewed(choices("both_bad"))
    assert [(one.answer, one.desirable) for one in found.thumbs] == [("Story 0.", False), ("Story 1.", False)]
    assert found.preferences == []


@pytest.mark.parametrize("purpose", ["gold", "again"])
def test_what_measures_the_reviewer_teaches_nothing(purpose: str) -> None:
    found = reviewed(choices("g1", purpose=purpose))
    assert (found.preferences, found.rejected["not_for_training"]) == ([], 1)


@pytest.mark.parametrize("split", ["holdout", "gold", "judge_calibration"])
def test_a_prompt_of_another_split_teaches_nothing(split: Any) -> None:
    prompt = Prompt(id="p", text="Tell me.", document="", task="story", cluster="p", split=split)
    found = reviewed(choices("g1", prompt=prompt))
    assert (found.preferences, found.rejected["not_for_training"]) == ([], 1)


def test_people_have_decided_on_ties_too() -> None:
    assert reviewed(choices("tie")).decided == {("p", TEXTS)}
    assert reviewed(choices("tie", purpose="gold")).decided == set()
