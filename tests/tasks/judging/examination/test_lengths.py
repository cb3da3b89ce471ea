import pytest

from tasks.judging.examination.corruptions import corrupted_pairs
from tasks.judging.examination.lengths import length_checks
from tasks.judging.examination.scorecard import Check
from tasks.judging.examination.verdicts import ask
from tests.tasks.judging.examination.fake import BOOTSTRAP, RUBRIC, WITHIN, FakeJudge, abstaining, knowing, longest
from tests.tasks.judging.examination.fake import stories as told

PAIRS = corrupted_pairs(told(), a_kind=4, faults_a_text=2, seed=1)


def checks(judge: FakeJudge) -> list[Check]:
    return length_checks(ask(judge, PAIRS, RUBRIC), longer=WITHIN, bootstrap=BOOTSTRAP)


def test_the_longer_wins_half_the_time_where_the_judge_knows_and_always_where_it_measures() -> None:
    known, by_length, shortest = (
        checks(FakeJudge(level)) for level in (knowing, longest, lambda item: 6 - longest(item))
    )
    assert [check.value for check in known] == [0.5, 0.5]
    assert [check.value for check in by_length] == [1, 0.5]
    assert [check.value for check in shortest] == [0, 0.5]
    assert [checks_[0].passed for checks_ in (known, by_length, shortest)] == [True, False, False]


def test_the_baseline_needs_no_verdict() -> None:
    longer, baseline = checks(FakeJudge(abstaining))
    assert longer.value is None
    assert baseline.value == pytest.approx(0.5)
    assert baseline.threshold is None
