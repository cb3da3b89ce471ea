import json
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.examination.ladder import Rung, _rank_correlation, ladder_checks, read_ladder
from tasks.judging.examination.scorecard import Check
from tasks.stage import UserError
from tests.tasks.judging.examination.fake import (
    BOOTSTRAP,
    LEAST,
    RUBRIC,
    FakeJudge,
    abstaining,
    knowing,
    stories,
    story,
)

PROMPTS = ("Once upon a time", "One day, a fox")
LADDER = [
    Rung(step=step, prompt=prompt, text=f" the fox {'very ' * (step // 100)}was at step {step} and said a word or two.")
    for step in (100, 200, 300, 400, 500)
    for prompt in PROMPTS
]


def checks(judge: FakeJudge, ladder: list[Rung], **changes: Any) -> list[Check]:
    sizes = {"chains": 4, "checkpoints": 3, "stories": stories(), **changes}
    return ladder_checks(
        judge, RUBRIC, ladder=ladder, adjacent=LEAST, spearman=LEAST, bootstrap=BOOTSTRAP, seed=1,
        **sizes,
    )  # fmt: skip


def test_a_judge_that_knows_climbs_and_one_that_errs_falls() -> None:
    share, spearman = checks(FakeJudge(knowing), LADDER)
    assert share.value == 1
    assert spearman.value == pytest.approx(1, abs=0.02)
    share, spearman = checks(FakeJudge(lambda item: 6 - knowing(item)), LADDER)
    assert share.value == 0
    assert spearman.value == pytest.approx(-1, abs=0.02)
    assert (share.passed, spearman.passed) == (False, False)


def test_the_first_and_the_last_step_are_rungs_and_neighbours_are_asked_once() -> None:
    share, _ = checks(FakeJudge(knowing), LADDER)
    kinds = [part.rsplit(" ", 1)[0] for part in share.note.split(", ")]
    assert kinds == [
        "human > step 500", "step 500 > step 300", "step 300 > step 100", "step 100 > shuffled",
        "shuffled > degenerate",
    ]  # fmt: skip
    assert share.count == 4 + 2 + 2 + 4 + 4  # four chains, but only two prompts


def test_texts_of_a_chain_have_the_same_number_of_words() -> None:
    seen: dict[str, set[int]] = {}

    def level(item: object) -> float:
        seen.setdefault(item.prompt_id, set()).add(len(item.answer.split()))  # type: ignore[attr-defined]
        return 3.0

    share, spearman = checks(FakeJudge(level), LADDER)
    assert all(len(counts) == 1 for counts in seen.values())
    assert share.value == 0.5  # ties
    assert (spearman.value, spearman.status) == (None, "not_run")  # nothing varies


def test_no_rung_is_told_by_where_it_was_cut() -> None:
    ends: set[str] = set()

    def level(item: object) -> float:
        ends.add(item.answer[-2:])  # type: ignore[attr-defined]
        return 5.0 if item.answer.endswith(".") else 1.0  # type: ignore[attr-defined]

    share, _ = checks(FakeJudge(level), LADDER)
    assert share.value == 0.5
    assert all(end[0].isalnum() for end in ends)


def test_the_top_is_called_human_only_where_a_person_wrote_it() -> None:
    told = [story(number, written_by_hand=False) for number in range(4)]
    share, _ = checks(FakeJudge(knowing), LADDER, stories=told)
    assert share.note.startswith("real > step 500 1.00")


def test_without_samples_the_ladder_has_three_rungs_and_says_so() -> None:
    share, spearman = checks(FakeJudge(knowing), [])
    assert share.value == 1
    assert share.note.startswith("no samples of pretraining; human > shuffled")
    assert spearman.count == 9  # all four begin alike, so the phrase is the same


def test_a_judge_without_verdicts_has_no_figure() -> None:
    assert [check.value for check in checks(FakeJudge(abstaining), LADDER)] == [None, None]


def test_rank_correlation_is_that_of_the_textbook() -> None:
    import numpy as np

    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)
    found = _rank_correlation(np.array([1.0, 2, 2, 9]), np.array([0.1, 0.2, 0.3, 0.4])).value
    assert found == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_the_samples_of_pretraining_are_read(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(vars(rung)) + "\n" for rung in LADDER))
    assert read_ladder(path) == LADDER
    path.write_text("")
    assert read_ladder(path) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not a JSON object"),
        ("[1]", "it is a list"),
        ('{"step": "1", "prompt": "a", "text": "b"}', "'step' must be a whole number"),
        ('{"step": 1, "prompt": "", "text": "b"}', "'prompt' is empty"),
        ('{"step": 1, "prompt": "a"}', "'text' is missing"),
        ('{"step": 1, "prompt": "a", "text": 3}', "'text' is 3"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"step": 1, "prompt": "a", "text": "b"}\n\n' + line + "\n")
    with pytest.raises(UserError, match=rf"samples\.jsonl:3: .*{said}"):
        read_ladder(path)
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        read_ladder(tmp_path / "none.jsonl")
