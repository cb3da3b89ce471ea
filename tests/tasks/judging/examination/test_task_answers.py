from collections import Counter

from tasks.judging.examination.scorecard import Check
from tasks.judging.examination.task_answers import KINDS, SUMMARY_REQUEST, task_checks, task_pairs
from tasks.judging.examination.verdicts import ask
from tests.tasks.judging.examination.fake import BOOTSTRAP, LEAST, RUBRIC, FakeJudge, knowing, longest, stories, story

PAIRS = task_pairs(stories(), a_kind=6, seed=1)


def checks(judge: FakeJudge) -> dict[str, Check]:
    found = task_checks(ask(judge, PAIRS, RUBRIC), RUBRIC, overall=LEAST, an_axis=LEAST, bootstrap=BOOTSTRAP)
    return {check.name: check for check in found}


def texts(kind: str) -> list[tuple[str, str]]:
    """Right and wrong answers of a kind."""
    pairs = [(one, one.pair.first.answer, one.pair.second.answer) for one in PAIRS if one.kind == kind]
    return [(first, second) if one.better == "first" else (second, first) for one, first, second in pairs]


def test_every_kind_and_every_axis_of_the_part_has_its_pairs() -> None:
    assert Counter(one.kind for one in PAIRS) == {kind.name: 6 for kind in KINDS}
    assert {one.axis for one in PAIRS} == set(RUBRIC.task)
    assert all(one.pair.first.part == "task" and one.pair.first.references for one in PAIRS)


def test_each_answer_has_the_fault_that_is_named() -> None:
    assert set(texts("wrong_answer")) <= {("The hat.", "Two birds.")}
    for right, wrong in texts("wrong_sentence"):
        assert "hat" in right
        assert "hat" not in wrong
    assert all(wrong == "I don't know." for _, wrong in texts("no_answer"))
    assert all(wrong == SUMMARY_REQUEST for _, wrong in texts("repeated_request"))
    for right, wrong in texts("scrambled"):
        assert sorted(right.rstrip(".").split()) == sorted(wrong.rstrip(".").split())
        assert right != wrong
    for right, wrong in texts("broken_off"):
        assert right.startswith(wrong)
        assert len(wrong) < len(right) / 2
    for right, wrong in (*texts("other_summary"), *texts("derailed")):
        assert right != wrong


def test_an_answer_that_shares_a_word_with_the_right_one_is_no_wrong_one() -> None:
    told = [story(at, questions=(("What?", "the hat"), ("Which?", "the red hat"))) for at in range(12)]
    assert "wrong_answer" not in {one.kind for one in task_pairs(told, a_kind=6, seed=1)}


def test_a_judge_that_knows_is_right_and_one_that_measures_is_not() -> None:
    right, by_length = checks(FakeJudge(knowing)), checks(FakeJudge(longest))
    assert right["task_accuracy"].value == 1
    assert right["axis_coherence_accuracy"].value == 1
    assert by_length["task_wrong_answer_accuracy"].value == 0
    assert by_length["axis_quality_accuracy"].axis == "quality"


def test_stories_without_questions_give_rows_that_were_not_run() -> None:
    bare = [story(number, summary="", questions=()) for number in range(12)]
    answered = ask(FakeJudge(knowing), task_pairs(bare, a_kind=6, seed=1), RUBRIC)
    found = task_checks(answered, RUBRIC, overall=LEAST, an_axis=LEAST, bootstrap=BOOTSTRAP)
    assert {check.axis for check in found} == {"", *RUBRIC.task}
    assert all(check.status == "not_run" for check in found)
