"""Votes are what people said of two models' texts on prompts that nothing may be learnt from."""

import math
from typing import Any

import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.gating.votes import votes_between
from tasks.judging.records import Item
from tasks.reviews.batch_file import Answer, Feedback, Prompt
from tests.tasks.judging.contests import item
from tests.tasks.reviews.test_batch_file import row

BOOTSTRAP = Bootstrap(resamples=100, confidence=0.95, seed=1)
OURS = [item("aligned", f"prompt {n}") for n in range(12)]
THEIRS = [item("champion", f"prompt {n}") for n in range(12)]


def shown(*items: Item, split: str = "holdout", **changes: Any) -> Feedback:
    """A decision on these answers; the generation of each goes by its model."""
    first = items[0]
    answers = tuple(
        Answer(generation=one.by, judged_item=one.id, text=one.answer, model=one.by, model_version="", decoding={})
        for one in items
    )
    asked = Prompt(id=first.prompt_id, text=first.prompt, document="", task=first.kind, cluster="c", split=split)
    return row(**{"prompt": asked, "answers": answers, "sides": tuple(one.by for one in items), **changes})


def choice(winner: str, at: int = 0, **changes: Any) -> Feedback:
    return shown(OURS[at], THEIRS[at], decision={"winner": winner}, **changes)


@pytest.mark.parametrize(
    ("winners", "share"),
    [(["aligned"], 1.0), (["champion"], 0.0), (["tie"], 0.5), (["both_bad"], 0.5), (["aligned", "champion"], 0.5)],
    ids=["ours", "theirs", "tie", "both bad", "one each"],
)
def test_a_tie_is_half_a_vote(winners: list[str], share: float) -> None:
    found = votes_between([choice(one) for one in winners], OURS, THEIRS, bootstrap=BOOTSTRAP)
    assert (found.preference.value, found.count) == (share, len(winners))


def test_a_ranking_is_a_vote_on_the_two_that_are_compared() -> None:
    third = item("base", "prompt 1")
    rows = [
        shown(OURS[1], THEIRS[1], third, kind="ranking", decision={"tiers": tiers})
        for tiers in ([["base"], ["aligned"], ["champion"]], [["aligned", "champion"], ["base"]])
    ]
    found = votes_between(rows, OURS, THEIRS, bootstrap=BOOTSTRAP)
    assert (found.preference.value, found.count) == (0.75, 2)


@pytest.mark.parametrize(
    "other",
    [
        choice("aligned", split="train"),
        choice("aligned", purpose="again"),
        choice("aligned", purpose="gold"),
        shown(OURS[0], item("base", "prompt 0"), decision={"winner": "aligned"}),
        shown(OURS[0], kind="rating", decision={"scores": {"grammar": 5}}),
        shown(item("aligned", "prompt 99"), item("champion", "prompt 99"), decision={"winner": "aligned"}),
    ],
    ids=["of a training prompt", "shown again", "a check", "against another model", "a rating", "a prompt not asked"],
)
def test_what_is_no_vote(other: Feedback) -> None:
    found = votes_between([other], OURS, THEIRS, bootstrap=BOOTSTRAP)
    assert found.count == 0
    assert math.isnan(found.preference.value)


def test_texts_count_whoever_was_shown_with_them_then() -> None:
    """What an earlier batch said of the same two texts is said of these models too."""
    renamed = choice("aligned", batch="earlier", annotation=7)
    found = votes_between([renamed, choice("aligned")], OURS, THEIRS, bootstrap=BOOTSTRAP)
    assert found.count == 2


def test_the_interval_is_drawn_by_prompt() -> None:
    rows = [choice("aligned" if at % 3 else "champion", at) for at in range(12) for _ in range(2)]
    found = votes_between(rows, OURS, THEIRS, bootstrap=BOOTSTRAP)
    assert found.count == 24
    assert found.preference.low < found.preference.value < found.preference.high
    assert found.preference.high - found.preference.low > 0.3  # of 24 independent votes it would be some .37, of 12 .53
