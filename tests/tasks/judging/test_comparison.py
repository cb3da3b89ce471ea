import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.judging.comparing.matches import find_matches, swapped
from tasks.judging.comparing.rates import elo_scores, length_terms
from tasks.judging.comparing.told import read_against
from tasks.judging.comparison import (
    Figures,
    bradley_terry,
    comparison_figures,
    leaderboard,
    leaderboard_markdown,
    leaderboard_plot,
    length_controlled_win_rate,
    win_rate,
)
from tasks.judging.records import Item, PairRecord, Winner
from tasks.stage import write_metrics
from tests.tasks.judging.contests import JUDGE, contest, grades, item, turned, verdict

DRAWN = Bootstrap(resamples=1_000, confidence=0.95, seed=3)
FEW = Bootstrap(resamples=400, confidence=0.95, seed=3)

W: Winner = "first"
T: Winner = "tie"
L: Winner = "second"


def pairs_of(winners: "list[Winner | None]") -> tuple[list[PairRecord], list[str]]:
    _, pairs = contest("new", "old", winners)
    return pairs, [f"prompt {number}" for number in range(len(pairs))]


def test_a_tie_is_half_a_win_and_the_interval_is_the_textbooks() -> None:
    score = win_rate(*pairs_of([W] * 240 + [T] * 80 + [L] * 80), bootstrap=DRAWN)
    assert score.value == pytest.approx((240 + 40) / 400)
    error = math.sqrt((240 * 0.3**2 + 80 * 0.2**2 + 80 * 0.7**2) / 400 / 400)
    assert score.low == pytest.approx(0.7 - 1.96 * error, abs=0.006)
    assert score.high == pytest.approx(0.7 + 1.96 * error, abs=0.006)


def test_a_failure_is_in_no_win_rate() -> None:
    pairs, prompts = pairs_of([W, None, W, L, None])
    assert win_rate(pairs, prompts, bootstrap=DRAWN).value == pytest.approx(2 / 3)


def test_pairs_of_one_prompt_are_drawn_together() -> None:
    winners: list[Winner | None] = [W] * 10 + [L] * 10
    pairs, prompts = pairs_of([winner for winner in winners for _ in range(5)])
    alone = win_rate(pairs, prompts, bootstrap=DRAWN)
    together = win_rate(pairs, [str(at // 5) for at in range(100)], bootstrap=DRAWN)
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_without_a_verdict_there_is_no_number() -> None:
    for pairs, prompts in (([], []), pairs_of([None, None])):
        assert math.isnan(win_rate(pairs, prompts, bootstrap=DRAWN).value)
        lengths = [(1, 2)] * len(pairs)
        assert math.isnan(length_controlled_win_rate(pairs, prompts, lengths, bootstrap=DRAWN).value)
        found = bradley_terry(pairs, prompts, [("new", "old")] * len(pairs), bootstrap=DRAWN)
        assert all(math.isnan(score.value) for score in found.values())


def test_where_all_verdicts_are_equal_the_interval_says_what_so_few_could_have_missed() -> None:
    # Clopper and Pearson: of 20 wins in 20 the lower end is .025 ** (1 / 20) = .8316
    assert win_rate(*pairs_of([W] * 20), bootstrap=DRAWN) == Score(
        value=1.0, low=pytest.approx(0.8316, abs=1e-4), high=1.0
    )
    ties = win_rate(*pairs_of([T] * 20), bootstrap=DRAWN)
    assert (ties.value, ties.low, ties.high) == (0.5, pytest.approx(0.4158, abs=1e-4), pytest.approx(0.5842, abs=1e-4))
    one = win_rate(*pairs_of([W]), bootstrap=DRAWN)
    assert (one.value, one.low, one.high) == (1.0, pytest.approx(0.025), 1.0)


def test_the_interval_of_two_equal_models_holds_one_half_in_19_rounds_of_20() -> None:
    rng = np.random.default_rng(11)
    held = {"raw": 0, "length-controlled": 0}
    for _ in range(200):
        pairs, prompts = pairs_of([(W, T, L)[at] for at in rng.choice(3, size=60, p=[0.4, 0.2, 0.4])])
        lengths = [(int(a), int(b)) for a, b in rng.integers(50, 400, size=(60, 2))]
        raw = win_rate(pairs, prompts, bootstrap=FEW)
        controlled = length_controlled_win_rate(pairs, prompts, lengths, bootstrap=FEW)
        held["raw"] += raw.low <= 0.5 <= raw.high
        held["length-controlled"] += controlled.low <= 0.5 <= controlled.high
    assert all(182 <= count <= 198 for count in held.values()), held


def longer_wins(seed: int, *, count: int = 200) -> "tuple[list[Winner | None], list[tuple[int, int]]]":
    """A judge who likes the longer answer, of a model that is the longer one more often than not."""
    rng = np.random.default_rng(seed)
    lengths = [(int(a), int(b)) for a, b in zip(rng.normal(260, 80, count), rng.normal(180, 80, count), strict=True)]
    likes = [0.9 if a > b else 0.1 for a, b in lengths]
    return [W if rng.random() < like else L for like in likes], lengths


def test_a_win_by_length_alone_is_none_at_equal_lengths() -> None:
    controlled: list[Score] = []
    for seed in range(20):
        winners, lengths = longer_wins(seed)
        pairs, prompts = pairs_of(winners)
        assert win_rate(pairs, prompts, bootstrap=FEW).low > 0.55
        controlled.append(length_controlled_win_rate(pairs, prompts, lengths, bootstrap=FEW))
    assert np.mean([score.value for score in controlled]) == pytest.approx(0.5, abs=0.03)
    assert sum(score.low < 0.5 < score.high for score in controlled) >= 17


def test_where_length_explains_everything_nothing_is_sure_at_equal_lengths() -> None:
    # wins down to -0.7, losses below: every resample is fitted alike, and no pair tells what equal lengths would do
    lengths = [(100 + step, 200) for step in range(-60, 100, 10)]
    pairs, prompts = pairs_of([L] * 3 + [W] * 13)
    found = length_controlled_win_rate(pairs, prompts, lengths, bootstrap=DRAWN)
    assert found.low < 0.75
    assert found.high > found.value > 0.8


def test_a_win_that_has_nothing_to_do_with_length_stays_one() -> None:
    rng = np.random.default_rng(5)
    winners: list[Winner | None] = [W if rng.random() < 0.75 else L for _ in range(200)]
    lengths = [(int(a), int(b)) for a, b in rng.integers(50, 400, size=(200, 2))]
    pairs, prompts = pairs_of(winners)
    raw = win_rate(pairs, prompts, bootstrap=DRAWN)
    controlled = length_controlled_win_rate(pairs, prompts, lengths, bootstrap=DRAWN)
    assert controlled.value == pytest.approx(raw.value, abs=0.02)
    assert controlled.low > 0.6


def test_the_length_controlled_win_rate_is_that_of_scikit_learns_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    winners, lengths = longer_wins(7)
    pairs, prompts = pairs_of(winners)
    terms = length_terms(lengths)
    # the prior as one tie at difference 0; the penalty is on the slope alone there too
    features = np.concatenate([terms, [0.0, 0.0]])[:, None]
    won = np.array([winner == W for winner in winners] + [True, False])
    weights = np.array([1.0] * len(terms) + [0.5, 0.5])
    fitted = LogisticRegression(C=1 / 0.1, tol=1e-10, max_iter=1_000).fit(features, won, sample_weight=weights)
    expected = 1 / (1 + math.exp(-fitted.intercept_[0]))
    assert length_controlled_win_rate(pairs, prompts, lengths, bootstrap=FEW).value == pytest.approx(expected, abs=1e-5)


def test_lengths_are_measured_by_the_spread_of_their_own_kind() -> None:
    lengths = [(2, 1), (1, 2), (200, 100), (100, 200)]
    assert length_terms(lengths, ["label", "label", "story", "story"]) == pytest.approx(np.tanh([1, -1, 1, -1]))
    assert abs(length_terms(lengths)[0]) < 0.02
    assert length_terms([(5, 5), (7, 7)]).tolist() == [0, 0]


def test_lengths_that_differ_alike_everywhere_tell_nothing_of_equal_ones() -> None:
    pairs, prompts = pairs_of([W, W, L])
    assert math.isnan(length_controlled_win_rate(pairs, prompts, [(3, 1)] * 3, bootstrap=DRAWN).value)
    assert length_controlled_win_rate(pairs, prompts, [(3, 3)] * 3, bootstrap=DRAWN).value == pytest.approx(2.5 / 4)


def test_bradley_terry_of_two_models_are_the_odds() -> None:
    pairs, prompts = pairs_of([W] * 30 + [T] * 10 + [L] * 10)
    found = bradley_terry(pairs, prompts, [("new", "old")] * 50, bootstrap=DRAWN)
    apart = found["new"].value - found["old"].value
    assert apart == pytest.approx(400 * math.log10(35.5 / 15.5))
    assert found["new"].value + found["old"].value == pytest.approx(2_000)
    assert found["new"].low < found["new"].value < found["new"].high
    assert found["new"].low > 1_000


def test_bradley_terry_finds_the_strengths_that_the_wins_were_drawn_from() -> None:
    strengths = np.array([1.0, 2.0, 4.0, 8.0])
    often = 3_000 * strengths[:, None] / (strengths[:, None] + strengths)
    found = elo_scores((often * (1 - np.eye(4)))[None])[0]
    steps = [after - before for before, after in pairwise(found)]
    assert steps == pytest.approx([400 * math.log10(2)] * 3, abs=0.1)
    assert found.mean() == pytest.approx(1_000)


def test_a_model_that_won_everything_has_a_score_and_no_interval() -> None:
    pairs, prompts = pairs_of([W] * 12)
    found = bradley_terry(pairs, prompts, [("new", "old")] * 12, bootstrap=DRAWN)
    assert 1_000 < found["new"].value < 2_000
    assert math.isnan(found["new"].low)
    assert math.isnan(found["old"].high)


def test_a_model_without_a_verdict_has_no_score_and_moves_no_other() -> None:
    pairs, prompts = pairs_of([W, W, L, None])
    alone = bradley_terry(pairs[:3], prompts[:3], [("new", "old")] * 3, bootstrap=DRAWN)
    found = bradley_terry(pairs, prompts, [("new", "old")] * 3 + [("new", "never")], bootstrap=DRAWN)
    assert math.isnan(found.pop("never").value)
    assert {name: score.value for name, score in found.items()} == {
        name: pytest.approx(score.value) for name, score in alone.items()
    }


def test_a_verdict_is_found_whichever_way_round_it_was_asked() -> None:
    ours, theirs = item("new", "a"), item("old", "a")
    (match,) = find_matches([theirs, ours], [verdict(theirs, ours, L)], ["old", "new"])
    assert match.models == ("new", "old")
    assert match.record is not None
    assert (match.record.winner, match.record.margin, match.record.orders) == ("first", 0.5, ("first", "first"))
    assert match.record.axes == {"grammar": "first"}
    assert swapped(match.record) == verdict(theirs, ours, L)


def test_a_verdict_of_two_texts_holds_for_every_model_that_gave_them() -> None:
    answers = [item("old", "a", "Same."), item("new", "a", "Other."), item("newest", "a", "Other.")]
    found = find_matches(answers, [verdict(answers[1], answers[0], W)], ["old", "new", "newest"])
    assert {match.models: (match.decided, match.record and match.record.winner) for match in found} == {
        ("new", "old"): ("judge", "first"),
        ("newest", "old"): ("judge", "first"),
        ("newest", "new"): ("same text", "tie"),
    }


def test_of_a_failure_and_a_verdict_on_the_same_texts_the_verdict_counts() -> None:
    ours, theirs = item("new", "a"), item("old", "a")
    for order in (
        [verdict(ours, theirs, W), verdict(ours, theirs, None)],
        [verdict(ours, theirs, None), verdict(ours, theirs, W)],
    ):
        (match,) = find_matches([theirs, ours], order, ["old", "new"])
        assert match.decided == "judge"


def board_of(answers: list[Item], pairs: list[PairRecord], **scores: object) -> Figures:
    return comparison_figures(leaderboard(answers, [], pairs, bootstrap=DRAWN, models=("old", "new")))


def test_the_figures_are_of_later_models_against_earlier_ones_and_by_kind() -> None:
    stories, on_stories = contest("new", "old", [W, W, W, L])
    labels, on_labels = contest("old", "new", [W, T], kind="classification")
    found = board_of([*stories, *labels], [*on_stories, *on_labels])
    assert found["new_vs_old_win_rate"] == pytest.approx(3.5 / 6)
    assert found["new_vs_old_story_win_rate"] == 0.75
    assert found["new_vs_old_classification_win_rate"] == 0.25
    assert found["new_win_rate"] == pytest.approx(3.5 / 6)
    assert found["old_win_rate"] == pytest.approx(2.5 / 6)
    ends = [found[f"new_vs_old_win_rate_{end}"] for end in ("low", "high")]
    assert all(isinstance(end, float) for end in ends)
    assert {
        "new_vs_old_length_controlled_win_rate",
        "new_vs_old_length_controlled_win_rate_high",
        "new_bradley_terry",
    } <= set(found)
    assert not [name for name in found if name.startswith("old_vs_new")]


def test_the_axes_are_means_of_what_has_a_grade() -> None:
    answers, pairs = contest("new", "old", [W, W, L])
    ours = [answer for answer in answers if answer.by == "new"]
    scores = [
        grades(ours[0], {"grammar": 5.0, "creativity": 2.0}),
        grades(ours[1], {"grammar": 3.0}),
        grades(ours[2], None, status="refused"),
    ]
    board = leaderboard(answers, scores, pairs, bootstrap=DRAWN)
    found = comparison_figures(board)
    assert (found["new_grammar_score"], found["new_creativity_score"]) == (4.0, 2.0)
    assert (found["new_grammar_score_low"], found["new_grammar_score_high"]) == (3.0, 5.0)
    assert "old_grammar_score" not in found
    assert board.standings["new"].axes["creativity"].is_proxy
    assert not board.standings["new"].axes["grammar"].is_proxy
    low = found["new_creativity_score_low"]
    assert low == pytest.approx(2 - 0.975)  # of one answer: it may be anywhere


def test_coverage_counts_what_was_never_judged_and_what_flipped() -> None:
    answers, pairs = contest("new", "old", [W, None, L])
    pairs[2] = verdict(answers[4], answers[5], T, flipped=True)
    more, _ = contest("new", "old", [W], start=3)
    same = [item(by, "same", "One text.") for by in ("new", "old")]
    scores = [grades(answers[0], {"grammar": 4.0}), grades(answers[1], None, status="injection_flag")]
    found = comparison_figures(leaderboard([*answers, *more, *same], scores, pairs, bootstrap=DRAWN))
    # pairs: two verdicts, one failed, one never asked; answers: 9 texts, one graded, one flagged
    counts = {name.removeprefix("judge_"): value for name, value in found.items() if name.startswith("judge_")}
    assert found["judge"] == JUDGE
    assert counts == {
        "ok": 3, "parse_error": 1, "refused": 0, "unsupported": 0, "injection_flag": 1, "missing": 8,
        "coverage": pytest.approx(3 / 13), "story_coverage": pytest.approx(3 / 13), "same_text": 1, "flipped": 1,
        "flipped_share": 0.5,
    }  # fmt: skip


def test_a_kind_of_prompt_that_the_judge_cannot_read_is_told_by_its_name() -> None:
    stories, told = contest("new", "old", [W, L])
    translations, failed = contest("new", "old", [None, None], kind="translation")
    scores = [grades(found, {"grammar": 4.0}) for found in stories]
    scores += [grades(found, None, status="unsupported") for found in translations]
    board = leaderboard([*stories, *translations], scores, [*told, *failed], bootstrap=DRAWN)
    figures = comparison_figures(board)
    assert (figures["judge_story_coverage"], figures["judge_translation_coverage"]) == (1, 0)
    assert figures["judge_coverage"] == 0.5
    assert "By kind: story 100.0%, translation 0.0%." in leaderboard_markdown(board)
    whole = leaderboard(stories, scores[:4], told, bootstrap=DRAWN)
    assert "By kind" not in leaderboard_markdown(whole)


def test_a_judge_that_says_nothing_leaves_no_number(tmp_path: Path) -> None:
    answers, pairs = contest("new", "old", [None, None, None])
    board = leaderboard(
        answers, [grades(found, None, status="unsupported") for found in answers], pairs, bootstrap=DRAWN
    )
    write_metrics(tmp_path / "judge.json", comparison_figures(board))
    found = json.loads((tmp_path / "judge.json").read_text())
    assert found["judge_coverage"] == 0
    assert {found[name] for name in found if "win_rate" in name or "bradley" in name or "longer" in name} == {None}
    assert found["judge_flipped_share"] is None
    assert "not judged" in leaderboard_markdown(board)


def test_nothing_at_all_is_a_board_too() -> None:
    board = leaderboard([], [], [], bootstrap=DRAWN)
    assert comparison_figures(board)["judge_coverage"] is None
    assert "Nothing was to be judged." in leaderboard_markdown(board)


def test_two_judges_make_no_leaderboard_and_two_answers_no_comparison() -> None:
    answers, pairs = contest("new", "old", [W, L])
    other = PairRecord(judge="another", first="x", second="y", status="refused")
    with pytest.raises(ValueError, match=f"2 judges \\(another, {JUDGE}\\)"):
        leaderboard(answers, [], [*pairs, other], bootstrap=DRAWN)
    with pytest.raises(ValueError, match="new answered story 0 twice"):
        leaderboard([*answers, item("new", "story 0", "Again.")], [], pairs, bootstrap=DRAWN)


def test_swapping_every_pair_turns_the_win_rate_round() -> None:
    winners: list[Winner | None] = [W, W, L, T, None, W]
    asked, swapped_round = (contest(*names, told)[1] for names, told in (
        (("new", "old"), winners), (("old", "new"), [turned(winner) for winner in winners])
    ))  # fmt: skip
    answers, _ = contest("new", "old", winners)
    assert board_of(answers, asked) == board_of(answers, swapped_round)


def test_a_models_outcomes_are_read_back_from_the_figures() -> None:
    answers, pairs = contest("new", "old", [W] * 14 + [L] * 2)
    found = board_of(answers, pairs)
    (against,) = read_against(found, "new", ["new", "old", "older"])
    assert (against.other, against.win_rate, against.verdicts, against.outcome) == ("old", 0.875, 16, "wins")
    assert against.line.startswith("new beats old: 87.5% [")
    lost = read_against(board_of(*contest("new", "old", [L] * 9)), "new", ["old"])
    assert lost[0].line.startswith("new loses to old: 0.0% [0.0%, ")
    assert read_against(board_of(*contest("new", "old", [None] * 9)), "new", ["old"]) == []


def test_the_page_says_who_wins_what_may_not_decide_and_what_failed() -> None:
    answers, pairs = contest("new", "old", [W] * 14 + [L] * 2 + [None])
    scores = [grades(found, {"grammar": 4.0, "creativity": 3.0}) for found in answers[:-1]]
    board = leaderboard(answers, scores, pairs, bootstrap=DRAWN, models=("old", "new"))
    page = leaderboard_markdown(board, may_not_decide=["creativity"])
    assert f"Judged by `{JUDGE}`. 49 of 51 judgements have a verdict (96.1%)" in page
    assert "| new | 87.5 [" in page
    row = next(line for line in page.splitlines() if line.startswith("| new vs old | all prompts |"))
    assert row.endswith("| 14 / 0 / 2 | wins |")
    assert "| creativity | 3.00 [" in page
    assert "a proxy, **may not decide**" in page
    assert "- replies that could not be read: 1" in page
    assert "- never judged: 1" in page


def test_the_page_says_where_equal_lengths_were_never_seen() -> None:
    answers = [item("new", str(number), "a long answer" * (number + 1)) for number in range(20)]
    answers += [item("old", str(number), "short" * (number % 3 + 1)) for number in range(20)]
    pairs = [verdict(ours, theirs, W) for ours, theirs in zip(answers[:20], answers[20:], strict=True)]
    board = leaderboard(answers, [], pairs, bootstrap=DRAWN, models=("old", "new"))
    assert all(rates.is_extrapolated for rates in board.rates)
    assert "new is longer than old in 100% (all prompts)." in leaderboard_markdown(board)
    assert comparison_figures(board)["new_vs_old_longer_share"] == 1.0


@pytest.mark.parametrize("winner", [W, L])
def test_the_page_says_where_only_length_decided(winner: Winner) -> None:
    texts = [("a long, long answer " * 20, "short"), ("shorter", "a little longer")]
    decided: list[Item] = []
    pairs: list[PairRecord] = []
    for number in range(40):
        ours, theirs = texts[0] if number % 4 else texts[1]
        names = ("new", "old") if winner == W else ("old", "new")
        answers = [item(by, str(number), text + str(number)) for by, text in zip(names, (ours, theirs), strict=True)]
        decided += answers
        longer = W if len(ours) > len(theirs) else L
        pairs.append(verdict(*answers, longer))
    board = leaderboard(decided, [], pairs, bootstrap=DRAWN, models=("old", "new"))
    assert board.overall[0].is_by_length
    assert board.overall[0].outcome == ("wins" if winner == W else "loses")
    assert ", not at equal lengths |" in leaderboard_markdown(board)


def test_the_plot_holds_both_win_rates_of_each_kind() -> None:
    answers, pairs = contest("new", "old", [W, W, L])
    lines = leaderboard_plot(leaderboard(answers, [], pairs, bootstrap=DRAWN, models=("old", "new"))).splitlines()
    assert lines[0] == "name,kind,how,win_rate,low,high"
    assert len(lines) == 1 + 2 * 2
    assert lines[1].startswith('"new vs old (all, raw)",all,raw,0.666667,')
