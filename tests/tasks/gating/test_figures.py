"""Figures of two models beside each other, and what they were measured on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.evaluation.intervals import Bootstrap
from tasks.gating import figures
from tests.conftest import ROOT, refused, sentences, write_clean
from tests.tasks import small
from tests.tasks.gating.evidence import PARAMS
from tests.tasks.judging.contests import grades, item

MARGINS = PARAMS.margins.champion
BOOTSTRAP = Bootstrap(resamples=100, confidence=0.95, seed=1)
ROWS = {"rows": 80}
EVALUATED: dict[str, Any] = {
    "tasks": ["classification", "swedish"], "classification_metric": "macro_f1", "swedish_metric": "chrf",
    "aligned_test_bits_per_byte": 1.2, "aligned_written_bits_per_byte": None, "aligned_classification_macro_f1": 0.5,
    "aligned_swedish_chrf": 30.0, "aligned_distinct_2": 0.5,
}  # fmt: skip


def test_a_models_figures_are_its_bits_per_byte_and_each_tasks_headline() -> None:
    assert figures.figures_of("aligned", EVALUATED) == {
        "test_bits_per_byte": 1.2,
        "written_bits_per_byte": None,
        "classification_macro_f1": 0.5,
        "swedish_chrf": 30.0,
    }
    with refused("no base_test_bits_per_byte; run `dvc repro evaluate`"):
        figures.figures_of("base", EVALUATED)


def test_figures_that_both_have_are_compared_by_their_own_margins() -> None:
    found = figures.measured_differences(
        {"test_bits_per_byte": 1.24, "classification_macro_f1": 0.5, "swedish_chrf": None},
        {"test_bits_per_byte": 1.2, "classification_macro_f1": 0.53, "swedish_chrf": 30.0},
        MARGINS,
    )
    assert [(one.name, one.margin, one.is_beyond) for one in found] == [
        ("test_bits_per_byte", 0.03, True),
        ("classification_macro_f1", 0.04, False),
    ]
    assert figures.unmeasured({"swedish_chrf": None}, {"swedish_chrf": 30.0, "x": None}) == ["swedish_chrf"]
    with refused("none of macro_f1, rouge_l, chrf, token_f1 is the figure of jokes_wit"):
        figures.measured_differences({"jokes_wit": 1.0}, {"jokes_wit": 1.0}, MARGINS)


def test_an_axis_is_compared_on_prompts_where_both_have_a_grade() -> None:
    ours, theirs = ([item(by, f"p{n}") for n in range(12)] for by in ("aligned", "champion"))
    scores = [grades(one, {"grammar": 3.0, "coherence": 2.0}) for one in ours[:11]]
    scores += [grades(ours[11], None, status="unsupported")]
    scores += [grades(one, {"grammar": 4.0 - at / 10, "coherence": 2.5}) for at, one in enumerate(theirs)]
    coherence, grammar = figures.axis_differences(ours, theirs, scores, MARGINS, BOOTSTRAP)
    assert (coherence.name, coherence.value, coherence.margin, coherence.is_beyond) == ("coherence", -0.5, 1.0, False)
    assert (grammar.candidate, grammar.opponent, grammar.is_beyond) == (3.0, pytest.approx(3.5), True)
    assert grammar.interval is not None
    assert grammar.interval.low < -0.5 < grammar.interval.high


def test_another_hold_out_has_another_hash(workspace: Path) -> None:
    small.write_workspace()
    texts = {"test": sentences(3), "written": sentences(3, start=9), "train": sentences(3, start=20)}
    clean = write_clean(workspace / "data" / "clean", texts)
    once = figures.holdout_hash(small.MIXTURE, clean, ROWS)
    write_clean(clean, {**texts, "train": sentences(9, start=30)})
    assert figures.holdout_hash(small.MIXTURE, clean, ROWS) == once  # what is trained on is none of it
    assert figures.holdout_hash(small.MIXTURE, clean, {"rows": 90}) != once
    write_clean(clean, {**texts, "written": sentences(3, start=50)})
    assert figures.holdout_hash(small.MIXTURE, clean, ROWS) != once


def test_the_default_margins_know_every_axis_and_every_headline_figure() -> None:
    from tasks.evaluation.task_scores import HEADLINE
    from tasks.gating.params import GateParams
    from tasks.judging.rubric import load_rubric

    params = GateParams.model_validate(yaml.safe_load((ROOT / "params.yaml").read_text())["gate"])
    rubric = load_rubric(ROOT / "rubric.yaml")
    for margins in (params.margins.champion, params.margins.base):
        assert set(HEADLINE.values()) <= set(margins.tasks)
        assert set(margins.axes) <= {*rubric.story, *rubric.task}
