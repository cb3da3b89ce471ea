import json
from pathlib import Path

import pytest

from tasks.evaluation.intervals import Score
from tasks.judging.examination.scorecard import (
    Check,
    Limit,
    axes_not_examined,
    axes_that_failed,
    not_run,
    scorecard_figures,
    scorecard_markdown,
)
from tasks.stage import write_metrics

LEAST, MOST, WITHIN = (
    Limit(kind="at_least", threshold=0.7),
    Limit(kind="at_most", threshold=0.1),
    Limit(kind="within", threshold=0.6),
)


def row(name: str, value: float, limit: Limit | None = None, axis: str = "", note: str = "") -> Check:
    return Check(name=name, value=value, low=value - 0.1, high=value + 0.1, limit=limit, axis=axis, note=note, count=9)


CHECKS = [
    row("accuracy", 0.8, LEAST),
    row("axis_grammar_accuracy", 0.8, LEAST, "grammar"),
    row("grammar_accuracy", 0.6, LEAST, "grammar", note="weak | on\nagreement"),
    row("axis_creativity_accuracy", 0.7, LEAST, "creativity"),
    row("flipped_share", 0.2, MOST),
    row("longer_wins", 0.45, WITHIN),
    not_run("pandalm_agreement", limit=LEAST, note="no file is named"),
    not_run("axis_quality_accuracy", limit=LEAST, axis="quality", note="no questions"),
]


@pytest.mark.parametrize(
    ("limit", "passes", "fails"),
    [(LEAST, [0.7, 1.0], [0.69]), (MOST, [0.0, 0.1], [0.11]), (WITHIN, [0.4, 0.5, 0.6], [0.39, 0.61])],
)
def test_a_limit_holds_on_its_side(limit: Limit, passes: list[float], fails: list[float]) -> None:
    assert all(limit.holds(value) for value in passes)
    assert not any(limit.holds(value) for value in fails)


def test_an_axis_fails_with_any_of_its_rows_and_one_without_a_figure_is_not_examined() -> None:
    assert axes_that_failed(CHECKS) == ["grammar"]
    assert axes_not_examined(CHECKS, ["grammar", "creativity", "quality", "coherence"]) == ["coherence", "quality"]


def test_the_figures_are_flat_and_a_row_that_was_not_run_is_null_and_says_so(tmp_path: Path) -> None:
    figures = scorecard_figures({"heuristic-a": CHECKS, "GPT-4": CHECKS[:1]}, ["grammar", "quality"])
    assert figures["heuristic_a_accuracy"] == 0.8
    assert (figures["heuristic_a_accuracy_low"], figures["heuristic_a_accuracy_high"]) == (pytest.approx(0.7), 0.9)
    assert (figures["heuristic_a_accuracy_threshold"], figures["heuristic_a_accuracy_passed"]) == (0.7, True)
    assert figures["heuristic_a_flipped_share_passed"] is False
    assert figures["heuristic_a_pandalm_agreement"] is None
    assert figures["heuristic_a_pandalm_agreement_status"] == "not_run"
    assert figures["heuristic_a_pandalm_agreement_passed"] is None
    assert "heuristic_a_pandalm_agreement_low" not in figures
    assert figures["heuristic_a_axes_failed"] == ["grammar"]
    assert figures["heuristic_a_axes_not_examined"] == ["quality"]
    assert figures["gpt_4_axes_failed"] == []
    write_metrics(tmp_path / "m.json", figures)
    assert json.loads((tmp_path / "m.json").read_text())["heuristic_a_axes_failed"] == ["grammar"]


def test_the_page_has_a_row_each_and_says_which_axes_may_not_decide() -> None:
    page = scorecard_markdown({"heuristic-a": CHECKS}, ["grammar", "quality"])
    assert "may not decide a promotion: grammar." in page
    assert "no row examined: quality." in page
    assert "| grammar_accuracy | 0.600 | 0.500 to 0.700 | ≥ 0.70 | **no** | 9 | weak \\| on agreement |" in page
    assert "| pandalm_agreement | | | ≥ 0.70 | not run | | no file is named |" in page
    assert "0.40 to 0.60" in page


def test_an_undefined_figure_is_not_run_and_a_row_cannot_lie() -> None:
    check = Check.of("share", Score(value=float("nan"), low=float("nan"), high=float("nan")), count=0, limit=LEAST)
    assert (check.value, check.status, check.passed) == (None, "not_run", None)
    with pytest.raises(ValueError, match="no value"):
        Check(name="x", value=None)
    with pytest.raises(ValueError, match="no value"):
        Check(name="x", value=1.0, status="not_run")
