"""The labelling judge likes the candidate better, and something else says no: told by name."""

from typing import Any

import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.gating.hacking import Hacking, distinct_2, look_for
from tasks.judging.records import Item, ScoreRecord
from tests.tasks.gating.evidence import votes
from tests.tasks.judging.contests import grades, item

BOOTSTRAP = Bootstrap(resamples=100, confidence=0.95, seed=1)
PROMPTS = range(20)
THEIRS = [item("champion", f"prompt {n}", f"one day {n} a boat went far {n * 3}") for n in PROMPTS]


def ours(text: str = "one morning {n} the drum was loud {m}") -> list[Item]:
    return [item("aligned", f"prompt {n}", text.format(n=n, m=n * 3)) for n in PROMPTS]


def graded(own: list[Item], gain: float) -> list[ScoreRecord]:
    """Grades by which the candidate's answers are better by so many levels, more or less."""
    held = [grades(one, {"grammar": 3.0 + gain + at % 2 / 10}) for at, one in enumerate(own)]
    return held + [grades(one, {"grammar": 3.0}) for one in THEIRS]


def looked_for(own: list[Item] | None = None, *, labelled: float = 0.5, accepted: float = 0.5, **how: Any) -> Hacking:
    own = own or ours()
    said: dict[str, Any] = {"votes": None, "beside_base": False, **how}
    return look_for(
        own, THEIRS, labelled=graded(own, labelled), accepted=graded(own, accepted), most_drift=0.1,
        bootstrap=BOOTSTRAP, **said,
    )  # fmt: skip


def test_both_judges_liking_it_is_no_sign() -> None:
    found = looked_for()
    assert found.names == ()
    assert found.by_labeller.value == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"accepted": -0.2}, "accepting_judge"),
        ({"votes": votes(0.48, 30)}, "human_votes"),
        ({"own": ours("one day {n} a boat went far")}, "diversity"),
        ({"own": ours("one morning {n} the drum was loud {m} and {m} more")}, "length"),
    ],
    ids=["judge", "votes", "diversity", "length"],
)
def test_what_speaks_against_its_liking_is_named(how: dict[str, Any], name: str) -> None:
    assert name in looked_for(**how).names


def test_without_a_labelling_judge_that_likes_it_better_there_is_no_sign() -> None:
    assert looked_for(labelled=-0.3, accepted=-0.5).names == ()
    nobody = look_for(
        ours(), THEIRS, labelled=(), accepted=graded(ours(), -0.5), votes=None, beside_base=False, most_drift=0.1,
        bootstrap=BOOTSTRAP,
    )  # fmt: skip
    assert nobody.names == ()


def test_beside_the_base_model_another_length_is_no_sign() -> None:
    longer = ours("one morning {n} the drum was loud {m} and {m} more and more")
    assert looked_for(longer, beside_base=True).names == ()
    assert looked_for(longer, beside_base=True, accepted=-0.5).names == ("accepting_judge",)


def test_word_pairs_are_counted_over_all_texts() -> None:
    assert distinct_2(["a b c", "a b d"]) == pytest.approx(3 / 4)
    assert distinct_2(["a b c", "A B C"]) == pytest.approx(1 / 2)
