from collections import Counter

import pytest

from tasks.judging.examination.corruptions import KINDS, corrupted_pairs, corruption_checks
from tasks.judging.examination.faults import material
from tasks.judging.examination.scorecard import Check
from tasks.judging.examination.verdicts import ask
from tests.tasks.judging.examination.fake import (
    BOOTSTRAP,
    LEAST,
    RUBRIC,
    FakeJudge,
    abstaining,
    knowing,
    longest,
    stories,
    story,
)

PAIRS = corrupted_pairs(stories(), a_kind=8, faults_a_text=2, seed=1)
LIMITS = {"overall": LEAST, "a_kind": LEAST, "an_axis": LEAST, "covered": LEAST}


def checks(judge: FakeJudge) -> dict[str, Check]:
    answered = ask(judge, PAIRS, RUBRIC)
    return {check.name: check for check in corruption_checks(answered, **LIMITS, bootstrap=BOOTSTRAP)}


def test_every_kind_has_its_pairs_and_no_kind_is_known_by_length_or_place() -> None:
    assert Counter(one.kind for one in PAIRS) == {kind.name: 8 for kind in KINDS}
    for kind in KINDS:
        own = [one for one in PAIRS if one.kind == kind.name]
        assert sum(one.longer == one.better for one in own) == 4
        assert all(one.longer != "tie" for one in own)
        assert sum(one.better == "first" for one in own) == 4
        assert {one.axis for one in own} == {kind.axis}


def test_the_longer_one_has_a_plain_sentence_more_and_both_answer_the_request() -> None:
    plain = {*material()["closings"], *material()["openings"]}
    for one in PAIRS:
        texts = {"first": one.pair.first.answer, "second": one.pair.second.answer}
        other = "second" if one.longer == "first" else "first"
        assert any(sentence in texts[one.longer] for sentence in plain)
        assert not any(sentence in texts[other] for sentence in plain)
        assert one.pair.first.prompt == one.pair.second.prompt
        assert one.pair.first.constraints


def test_a_judge_that_knows_is_always_right_and_one_that_likes_length_is_right_by_half() -> None:
    right, by_length = checks(FakeJudge(knowing)), checks(FakeJudge(longest))
    for kind in KINDS:
        assert right[f"corruption_{kind.name}_accuracy"].value == 1
        assert by_length[f"corruption_{kind.name}_accuracy"].value == 0.5
        assert by_length[f"corruption_{kind.name}_accuracy"].passed is False
        assert by_length[f"axis_{kind.axis}_accuracy"].value == 0.5
        assert by_length[f"axis_{kind.axis}_accuracy"].axis == kind.axis


def test_the_figure_of_an_axis_is_of_the_winner_on_it() -> None:
    found = checks(FakeJudge(knowing, blind_on="grammar"))
    assert found["corruption_misspelling_accuracy"].value == 1
    assert found["axis_grammar_accuracy"].value == 0.5
    assert found["corruption_misspelling_axis_accuracy"].value == 0.5
    assert found["axis_creativity_accuracy"].value == 1


def test_a_fault_that_takes_away_an_asked_word_is_not_asked_about() -> None:
    told = [story(number, words=("believe",)) for number in range(12)]  # it stands in the last sentence alone
    kinds = {one.kind for one in corrupted_pairs(told, a_kind=4, faults_a_text=2, seed=1)}
    assert "cut_ending" not in kinds
    assert {"misspelling", "shuffled_sentences"} <= kinds


def test_the_others_are_all_kinds_but_one() -> None:
    hates_misspelling = FakeJudge(lambda item: 5.0 if item.by == "misspelling" else knowing(item))
    found = checks(hates_misspelling)
    assert found["corruption_misspelling_accuracy"].value == 0.5  # 5 against 5
    assert found["corruption_misspelling_others_accuracy"].value == 1
    assert found["corruption_agreement_others_accuracy"].value == pytest.approx((9 + 0.5) / 10)
    assert (
        "on grammar, which should notice it, 0.500; the other types 1.000"
        in found["corruption_misspelling_accuracy"].note
    )
    assert not found["corruption_misspelling_others_accuracy"].shown


def test_abstentions_are_no_verdict_and_lower_the_coverage() -> None:
    none = checks(FakeJudge(abstaining))
    assert none["corruption_coverage"].value == 0
    assert none["corruption_coverage"].passed is False
    assert (none["corruption_accuracy"].value, none["corruption_accuracy"].status) == (None, "not_run")
    assert none["axis_grammar_accuracy"].value is None
    some = checks(FakeJudge(lambda item: "refused" if item.by == "unsafe_insertion" else knowing(item)))
    assert some["corruption_coverage"].value == pytest.approx(10 / 11)
    assert some["corruption_accuracy"].value == 1
    assert some["axis_age_appropriateness_accuracy"].count == 8  # those with grown-up words


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert corrupted_pairs(stories(), a_kind=8, faults_a_text=2, seed=1) == PAIRS
    assert corrupted_pairs(stories(), a_kind=8, faults_a_text=2, seed=2) != PAIRS
