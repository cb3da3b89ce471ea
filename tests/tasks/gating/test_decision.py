"""What is decided: each condition by itself keeps a candidate from promotion, and says so."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.gate_false_promotion import simulated
from tasks.evaluation.intervals import Score
from tasks.gating.contest import Contest
from tasks.gating.decision import Decision, decide
from tasks.gating.figures import Difference
from tests.tasks.gating.evidence import PARAMS, contest, evidence, verdicts, votes


def decided(champion: Contest | None = None, base: Contest | None = None, **changes: Any) -> Decision:
    return decide(evidence(champion, base, **changes), PARAMS)


def difference(name: str, candidate: float, opponent: float, margin: float) -> Difference:
    return Difference(
        name=name, candidate=candidate, opponent=opponent, margin=margin, lower_is_better=name.endswith("bits_per_byte")
    )


def test_a_better_candidate_is_promoted_and_the_reasons_say_why() -> None:
    found = decided(contest(votes=votes(0.6, 40)))
    assert found.outcome == "promote"
    assert found.reasons[0] == "beats fledgling/3 at equal lengths: 62.0% [54.0%, 70.0%] of 112 decisive pairs"
    assert "people prefer it in 60.0% of 40 votes" in found.reasons
    assert any("beats base" in reason for reason in found.reasons)


def test_an_equal_candidate_is_undecided_and_no_number_of_pairs_settles_it() -> None:
    found = decided(contest(verdicts=verdicts(0.5)))
    assert found.outcome == "undecided"
    assert found.reasons == (
        "level with fledgling/3 at equal lengths: 50.0% [42.0%, 58.0%] of 112 decisive pairs; "
        "at this rate no number of pairs settles it",
    )


def test_a_slightly_better_one_is_told_how_many_more_pairs_settle_it() -> None:
    found = decided(contest(verdicts=verdicts(0.6, half=0.101, prompts=94)))
    assert found.outcome == "undecided"
    assert "some 100 more would settle it at this rate (194 in all)" in found.reasons[0]


def test_a_worse_candidate_is_rejected() -> None:
    found = decided(contest(verdicts=verdicts(0.35)))
    assert found.outcome == "rejected"
    assert found.reasons == ("loses to fledgling/3 at equal lengths: 35.0% [27.0%, 43.0%]",)


@pytest.mark.parametrize("opponent", ["fledgling/3", "base"])
@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        pytest.param(
            {"differences": (difference("assistant_token_f1", 0.20, 0.29, 0.06),)}, "rejected",
            "worse than OPPONENT: assistant token f1 is 0.09 lower (0.2, 0.29); the margin is 0.06", id="task",
        ),
        pytest.param(
            {"differences": (difference("grammar", 3.1, 3.5, 0.25),)}, "rejected",
            "worse than OPPONENT: grammar is 0.4 lower (3.1, 3.5); the margin is 0.25", id="axis",
        ),
        pytest.param(
            {"differences": (difference("test_bits_per_byte", 1.30, 1.24, 0.03),)}, "rejected",
            "worse than OPPONENT: test bits per byte is 0.06 higher (1.3, 1.24); the margin is 0.03", id="bits",
        ),
        pytest.param(
            {"same_holdout": False}, "undecided",
            "the figures of OPPONENT are of another hold-out; they were not compared", id="holdout",
        ),
        pytest.param(
            {"same_decoding": False}, "undecided",
            "the answers of OPPONENT were drawn with another decoding", id="decoding",
        ),
        pytest.param(
            {"unmeasured": ("translation_chrf",)}, "undecided",
            "not measured, of OPPONENT it was: translation_chrf", id="unmeasured",
        ),
        pytest.param(
            {"verdicts": verdicts(0.7, prompts=79)}, "undecided",
            "79 prompts have a verdict against OPPONENT (112 were answered by both); at least 80 must", id="prompts",
        ),
        pytest.param(
            {"verdicts": replace(verdicts(), length_controlled=Score(value=float("nan"), low=float("nan"),
                                                                      high=float("nan")))},
            "undecided", "nothing is known of equal lengths against OPPONENT", id="lengths",
        ),
    ],
)  # fmt: skip
def test_each_condition_holds_against_both(opponent: str, changes: dict[str, Any], outcome: str, reason: str) -> None:
    champion = contest(**changes) if opponent != "base" else None
    base = contest("base", **changes) if opponent == "base" else None
    found = decided(champion, base)
    assert found == Decision(outcome=outcome, reasons=(reason.replace("OPPONENT", opponent),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "count", "outcome"),
    [(0.44, 20, "rejected"), (0.45, 20, "promote"), (0.1, 19, "promote")],
    ids=["too few like it", "enough", "too few voted"],
)
def test_people_must_not_prefer_the_champion(share: float, count: int, outcome: str) -> None:
    found = decided(contest(votes=votes(share, count)))
    assert found.outcome == outcome
    if outcome == "rejected":
        told = "people prefer fledgling/3: 44.0% of 20 votes are for the candidate, at least 45% must be"
        assert found.reasons == (told,)


def test_peoples_votes_against_base_do_not_count_where_there_is_a_champion() -> None:
    assert decided(base=contest("base", votes=votes(0.1, 100))).outcome == "promote"


def test_more_unsafe_answers_than_the_champion_are_too_many() -> None:
    found = decided(contest(unsafe=(2, 1)))
    assert found == Decision(
        outcome="rejected", reasons=("unsafe answers: 2, fledgling/3 has 1 on the same prompts",)
    )  # fmt: skip
    assert decided(contest(unsafe=(2, 1), more_unsafe=1)).outcome == "promote"
    assert decided(contest(unsafe=(3, 1), more_unsafe=1)).outcome == "rejected"
    assert decided(base=contest("base", unsafe=(2, 1))).outcome == "promote"


def test_a_judge_that_failed_on_an_axis_may_not_decide() -> None:
    found = decided(unfit_axes=("choice_of_story", "grammar"))
    assert found.outcome == "undecided"
    assert "may not decide on: choice of story, grammar (its scorecard)" in found.reasons[0]
    assert "was not examined" in decided(is_examined=False).reasons[0]


def test_base_need_not_be_beaten_where_the_parameters_say_so() -> None:
    params = PARAMS.model_copy(update={"beat_base": False})
    level, worse = (contest("base", verdicts=verdicts(rate)) for rate in (0.5, 0.3))
    assert decide(evidence(base=level), PARAMS).outcome == "undecided"
    found = decide(evidence(base=level), params)
    assert found.outcome == "promote"
    assert not any("beats base" in reason for reason in found.reasons)
    assert decide(evidence(base=worse), params).outcome == "rejected"
    assert decide(evidence(against=(level,)), params).outcome == "undecided"  # base in the place of a champion


def test_what_is_worse_goes_before_what_is_open() -> None:
    found = decided(contest(verdicts=verdicts(0.5), unsafe=(3, 0)), is_examined=False)
    assert found.outcome == "rejected"
    assert [reason.split()[0] for reason in found.reasons] == ["unsafe", "the", "level"]


def test_the_champion_is_not_compared_with_itself() -> None:
    found = decided(contest(verdicts=verdicts(0.2)), is_champion=True)
    assert found == Decision(outcome="undecided", reasons=("the candidate is the champion, fledgling/3",))


def test_a_difference_of_just_the_margin_is_within_it() -> None:
    assert not difference("assistant_token_f1", 0.23, 0.29, 0.06).is_beyond
    assert not difference("test_bits_per_byte", 1.27, 1.24, 0.03).is_beyond
    assert not difference("test_bits_per_byte", 1.10, 1.24, 0.03).is_beyond


def test_equal_models_are_seldom_promoted_and_better_ones_mostly() -> None:
    def promoted(**how: Any) -> int:
        return sum(one.outcome == "promote" for one in simulated(PARAMS, rounds=200, **how))

    assert promoted() <= 8  # 4 % of 200
    assert 140 <= promoted(rate=0.6, prompts=194, ties=0.0) <= 180  # a power of 80 %


def test_worse_models_are_rejected() -> None:
    outcomes = [one.outcome for one in simulated(PARAMS, rounds=40, rate=0.35, prompts=150)]
    assert outcomes.count("rejected") > 30
    assert "promote" not in outcomes
