"""The whole examination of judges whose verdicts are known."""

import json
from pathlib import Path

import pytest

from tasks.judging.examination import Check, Rung, axes_that_failed, examine, read_user_files, scorecard_figures
from tasks.stage import UserError
from tests.tasks.judging.examination.fake import RUBRIC, FakeJudge, abstaining, knowing, longest, params, stories, story

LADDER = [Rung(step=step, prompt="Once", text=" there was a fox who had a hat and a friend.") for step in (100, 200)]
NEEDS_FILES = {"pandalm", "llmbar", "reviewers", "zorro"}


def examined(judge: FakeJudge, **changes: object) -> dict[str, Check]:
    return {check.name: check for check in examine(judge, RUBRIC, params(**changes), stories=stories(), ladder=LADDER)}


def knows_grammar(item: object) -> float:
    """Knows who gave an answer, and of sentences that an even number of letters is right: by chance."""
    return knowing(item)  # type: ignore[arg-type]


def test_built_in_stories_give_a_figure_to_every_row_but_those_that_need_files() -> None:
    found = examined(FakeJudge(knows_grammar))
    missing = {name for name, check in found.items() if check.value is None}
    assert {name.split("_")[0 if not name.startswith("grammar") else 1] for name in missing} == NEEDS_FILES
    assert all(check.note for check in found.values() if check.value is None)
    assert [name for name, check in found.items() if check.passed is False] == []
    assert len(found) == len({check.name for check in found.values()})


def test_the_other_tasks_are_asked_of_stories_of_their_own() -> None:
    bare = [story(number, summary="", questions=()) for number in range(12)]
    judge = FakeJudge(knowing)
    found = examine(judge, RUBRIC, params(), stories=bare, ladder=LADDER, task_stories=stories())
    assert {check.name: check.value for check in found}["task_accuracy"] == 1
    alone = examine(judge, RUBRIC, params(), stories=bare, ladder=LADDER)
    assert {check.name: check.value for check in alone}["task_accuracy"] is None


def test_every_figure_has_an_interval_around_it() -> None:
    for check in examined(FakeJudge(longest)).values():
        if check.value is not None:
            assert check.low is not None
            assert check.high is not None
            assert check.low - 1e-9 <= check.value <= check.high + 1e-9


def test_a_judge_that_likes_length_may_decide_on_no_axis() -> None:
    found = examined(FakeJudge(longest))
    assert set(axes_that_failed(list(found.values()))) >= {*RUBRIC.story, "factual_accuracy"}
    assert found["longer_wins"].passed is False


def test_the_same_seed_gives_the_same_scorecard() -> None:
    first, second = (scorecard_figures({"j": list(examined(FakeJudge(longest)).values())}) for _ in range(2))
    assert first == second


def test_a_judge_that_never_answers_passes_nothing() -> None:
    found = examined(FakeJudge(abstaining))
    assert not [name for name, check in found.items() if check.passed]


def test_files_that_are_named_are_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    zorro = tmp_path / "z.jsonl"
    zorro.write_text(json.dumps({"good": "it was fun .", "bad": "it were fun .", "phenomenon": "agreement"}) + "\n")
    grammar = {"builtin_pairs": 15, "zorro": str(zorro), "file_pairs": 10}
    assert examined(FakeJudge(knowing), grammar=grammar)["grammar_zorro_accuracy"].count == 1
    zorro.write_text('{"good": "a \\ud800", "bad": "b"}\n')
    with pytest.raises(UserError, match=r"z\.jsonl: .*half a character"):
        read_user_files(params(grammar=grammar))
    for key, values in (
        ("grammar", {**grammar, "zorro": "none.jsonl"}),
        ("agreement", {"pandalm": "none.jsonl", "llmbar": None, "pairs": 3}),
        ("agreement", {"pandalm": None, "llmbar": "none.jsonl", "pairs": 3}),
    ):
        with pytest.raises(UserError, match=rf"none\.jsonl: no such file.*calibrate\.examination\.{key}"):
            read_user_files(params(**{key: values}))


def test_the_real_files_beside_the_project_are_read() -> None:
    from tests.conftest import ROOT, skip_missing

    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        skip_missing("../shared/data")
    files = read_user_files(
        params(
            agreement={
                "pandalm": f"{folder}/judge/pandalm.jsonl.gz", "llmbar": f"{folder}/judge/llmbar.jsonl.gz", "pairs": 9,
            },
            grammar={"builtin_pairs": 15, "zorro": f"{folder}/grammar/zorro.jsonl.gz", "file_pairs": 46},
        )
    )  # fmt: skip
    assert (len(files.pandalm or ()), len(files.llmbar or ()), len(files.zorro or ())) == (870, 419, 46)
