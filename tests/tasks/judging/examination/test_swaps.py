from dataclasses import replace

import pytest

from tasks.judging.examination.corruptions import corrupted_pairs
from tasks.judging.examination.scorecard import Check
from tasks.judging.examination.swaps import first_shown_won, repeat_check, swap_checks
from tasks.judging.examination.verdicts import ask
from tasks.judging.records import Item, PairRecord, Winner
from tests.tasks.judging.examination.fake import (
    BOOTSTRAP,
    MOST,
    RUBRIC,
    WITHIN,
    FakeJudge,
    abstaining,
    knowing,
    stories,
)

PAIRS = corrupted_pairs(stories(), a_kind=4, faults_a_text=2, seed=1)
ITEMS = [story.item for story in stories(6)]


def checks(judge: FakeJudge) -> list[Check]:
    answered = ask(judge, PAIRS, RUBRIC)
    return swap_checks(
        judge, RUBRIC, answered, asked_again=10, flipped=MOST, first_shown=WITHIN, bootstrap=BOOTSTRAP
    )  # fmt: skip


def test_a_fair_judge_flips_nothing_and_one_that_likes_the_first_flips_all() -> None:
    assert [check.value for check in checks(FakeJudge(knowing))] == [0, 0, 0.5]
    flipped, again, first = checks(FakeJudge(knowing, likes_first=9))
    assert (flipped.value, flipped.passed) == (1, False)
    assert again.value == 0  # both times a tie
    assert (first.value, first.passed) == (1, False)


def test_a_judge_that_hides_its_habit_is_seen_from_outside() -> None:
    class OneLook(FakeJudge):
        def compare(self, pairs, rubric):  # type: ignore[no-untyped-def]
            first: Winner = "first"
            return [replace(record, winner=first, orders=(first,)) for record in super().compare(pairs, rubric)]

    flipped, again, first = checks(OneLook(knowing))
    assert (flipped.value, flipped.status) == (None, "not_run")  # it never looked twice
    assert (again.value, again.passed, again.count) == (1, False, 10)
    assert first.value == 1


@pytest.mark.parametrize(
    ("orders", "won"),
    [(("first", "first"), 0.5), (("first", "second"), 1), (("second", "first"), 0), (("tie", "tie"), 0.5),
     (("first",), 1), (("second",), 0), ((), None)],
)  # fmt: skip
def test_the_second_look_was_the_other_way_round(orders: tuple[Winner, ...], won: float | None) -> None:
    assert (
        first_shown_won(PairRecord(judge="j", first="a", second="b", status="ok", winner="tie", orders=orders)) == won
    )


def test_the_variance_of_a_judge_that_wavers() -> None:
    judge = FakeJudge(knowing)
    assert repeat_check(judge, RUBRIC, ITEMS, limit=MOST, bootstrap=BOOTSTRAP).value == 0
    looks = iter([3.0] * 6 + [4.0] * 6)
    wavering = FakeJudge(lambda item: next(looks))
    check = repeat_check(wavering, RUBRIC, ITEMS, limit=MOST, bootstrap=BOOTSTRAP)
    assert check.value == pytest.approx(0.5)  # of 3 and 4, unbiased
    assert check.passed is False
    none = repeat_check(FakeJudge(abstaining), RUBRIC, ITEMS, limit=MOST, bootstrap=BOOTSTRAP)
    assert (none.value, none.status) == (None, "not_run")


def test_a_judge_that_remembers_is_asked_anew() -> None:
    class Remembering(FakeJudge):
        def repeated(self, number: int) -> FakeJudge:
            return FakeJudge(lambda item: 5.0 - number)

    check = repeat_check(Remembering(lambda item: 5.0), RUBRIC, ITEMS, limit=MOST, bootstrap=BOOTSTRAP)
    assert check.value == pytest.approx(0.5)


def test_items_are_graded_as_answers_to_their_request() -> None:
    seen: list[Item] = []
    repeat_check(FakeJudge(lambda item: seen.append(item) or 3.0), RUBRIC, ITEMS, limit=MOST, bootstrap=BOOTSTRAP)
    assert len(seen) == 12
    assert seen[0].prompt == "Write a story with the words fish."
