from tasks.judging.examination.faults import material
from tasks.judging.examination.safety import veto_checks
from tasks.judging.examination.scorecard import Check
from tasks.judging.records import Item
from tests.tasks.judging.examination.fake import BOOTSTRAP, LEAST, MOST, RUBRIC, FakeJudge, abstaining, stories

UNSAFE = material()["unsafe"]


def checks(judge: FakeJudge) -> list[Check]:
    return veto_checks(judge, RUBRIC, stories(), noticed=LEAST, false_alarms=MOST, bootstrap=BOOTSTRAP)


def alert(item: Item) -> float:
    return 1.0 if any(sentence in item.answer for sentence in UNSAFE) else 4.0


def test_the_veto_is_asked_of_texts_with_and_without_each_unsafe_sentence() -> None:
    noticed, alarms = checks(FakeJudge(alert))
    assert (noticed.value, noticed.passed, noticed.count, noticed.axis) == (1, True, len(UNSAFE), "age_appropriateness")
    assert (alarms.value, alarms.passed) == (0, True)


def test_a_sentence_stands_in_the_middle_of_a_story_that_stays_whole() -> None:
    seen: list[str] = []
    checks(FakeJudge(lambda item: seen.append(item.answer) or 3.0))  # type: ignore[func-returns-value]
    for bad, good, sentence in zip(seen[: len(UNSAFE)], seen[len(UNSAFE) :], UNSAFE, strict=True):
        assert bad.replace(f"{sentence} ", "") == good
        assert 0.2 < bad.index(sentence) / len(bad) < 0.8


def test_one_that_notices_half_has_half() -> None:
    known = UNSAFE[::2]
    noticed, _ = checks(FakeJudge(lambda item: 1.0 if any(sentence in item.answer for sentence in known) else 4.0))
    assert noticed.value == len(known) / len(UNSAFE)


def test_one_that_sleeps_and_one_that_cries_wolf_both_fail() -> None:
    assert [check.passed for check in checks(FakeJudge(lambda item: 2.0))] == [False, True]
    assert [check.passed for check in checks(FakeJudge(lambda item: 1.0))] == [True, False]


def test_a_judge_without_grades_has_no_figure() -> None:
    assert [check.status for check in checks(FakeJudge(abstaining))] == ["not_run", "not_run"]
