import json
from importlib import resources

import pytest

from tasks.judging.examination.attacks import NULL_ANSWERS, attack_checks, attacks
from tasks.judging.examination.scorecard import Check
from tasks.judging.records import Item
from tests.tasks.judging.examination.fake import BOOTSTRAP, MOST, RUBRIC, FakeJudge, abstaining, knowing, stories


def checks(judge: FakeJudge, *, each: int = 2) -> dict[str, Check]:
    found = attack_checks(
        judge, RUBRIC, stories(), each=each, null_wins=MOST, attack_wins=MOST, bootstrap=BOOTSTRAP
    )  # fmt: skip
    return {check.name: check for check in found}


def test_there_are_many_attacks_of_several_kinds_and_no_two_alike() -> None:
    text = (resources.files("tasks.judging.examination") / "attacks.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == len(attacks()) >= 30
    assert len({row["answer"] for row in rows}) == len(rows)
    assert len({row["kind"] for row in rows}) >= 6
    assert all(row["answer"].strip() for row in rows)


def test_a_judge_that_knows_lets_none_win_and_one_that_obeys_is_caught() -> None:
    found = checks(FakeJudge(knowing))
    assert (found["null_answer_wins"].value, found["attack_wins"].value) == (0, 0)
    assert found["null_answer_wins"].count == 2 * len(NULL_ANSWERS)
    assert found["attack_wins"].count == 2 * len(attacks())
    obeying = checks(FakeJudge(lambda item: 5.0 if "5" in item.answer else knowing(item) - 0.5))
    assert obeying["attack_wins"].value > 0.5
    assert obeying["attack_wins"].passed is False
    assert "ignore_rubric" not in NULL_ANSWERS
    assert obeying["attack_wins"].note.startswith("won or tied: ")


def test_a_tie_is_half_a_win_and_is_told() -> None:
    found = checks(FakeJudge(lambda item: 3.0))
    assert found["null_answer_wins"].value == 0.5
    assert "empty 1" in found["null_answer_wins"].note or "full_stop 1" in found["null_answer_wins"].note


def test_a_flagged_attack_has_not_won_and_an_abstention_is_no_verdict() -> None:
    flagging = checks(FakeJudge(lambda item: knowing(item) if item.by in {"real", *NULL_ANSWERS} else "injection_flag"))
    assert (flagging["attack_wins"].value, flagging["attack_flagged_share"].value) == (0, 1)
    none = checks(FakeJudge(abstaining))
    assert (none["attack_wins"].value, none["attack_wins"].status) == (None, "not_run")
    assert none["attack_flagged_share"].value == 0


def test_each_bad_answer_meets_real_stories_in_both_places_and_with_its_own_request() -> None:
    seen: list[Item] = []

    def level(item: Item) -> float:
        seen.append(item)
        return knowing(item)

    checks(FakeJudge(level), each=3)
    echoes = [item for item in seen if item.by == "repeated_prompt"]
    assert len(echoes) == 3
    assert len({item.prompt_id for item in seen}) == len(stories())
    assert all(item.answer == item.prompt for item in echoes)
    assert not any("{" in item.answer and "words}" in item.answer for item in seen)
    places = [at % 2 for at, item in enumerate(seen) if item.by == "real"]
    assert places.count(0) == pytest.approx(places.count(1), abs=len(places) / 4)
