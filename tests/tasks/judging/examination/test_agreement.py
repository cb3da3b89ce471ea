import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.examination.agreement import llmbar_checks, pandalm_checks, read_llmbar, read_pandalm
from tasks.judging.examination.scorecard import Check
from tasks.judging.records import Item
from tasks.stage import UserError
from tests.tasks.judging.examination.fake import BOOTSTRAP, LEAST, RUBRIC, FakeJudge, abstaining

LABELS = (["a", "a", "a"], ["a", "a", "b"], ["tie", "tie", "tie"], ["a", "b", "tie"])


def panda(**changes: Any) -> dict[str, Any]:
    return {
        "instruction": "Say hello.", "input": "", "response_a": "Hello!", "response_b": "No, no.",
        "labels": ["a", "a", "b"], **changes,
    }  # fmt: skip


def bar(**changes: Any) -> dict[str, Any]:
    return {
        "input": "Say hello.",
        "response_a": "Hello!",
        "response_b": "No, no.",
        "label": "a",
        "subset": "natural",
        **changes,
    }


def write(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def likes_hello(item: Item) -> float:
    return 5.0 if item.answer == "Hello!" else 1.0


def of_panda(judge: FakeJudge, path: Path, *, most: int = 99) -> dict[str, Check]:
    found = pandalm_checks(judge, RUBRIC, read_pandalm(path), most=most, limit=LEAST, bootstrap=BOOTSTRAP)
    return {check.name: check for check in found}


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_the_judge_stands_beside_two_people(tmp_path: Path, name: str) -> None:
    rows = [panda(labels=labels, instruction=f"Say hello, {at}.") for at, labels in enumerate(LABELS)]
    found = of_panda(FakeJudge(likes_hello), write(tmp_path / name, rows))
    assert found["pandalm_human_agreement"].value == pytest.approx((1 + 1 / 3 + 1 + 0) / 4)
    assert found["pandalm_agreement"].value == pytest.approx((1 + 2 / 3 + 0 + 1 / 3) / 4)
    assert found["pandalm_majority_agreement"].value == pytest.approx(2 / 4)  # a, a, tie, and no majority: a tie
    assert found["pandalm_longest_agreement"].value == pytest.approx((0 + 1 / 3 + 0 + 1 / 3) / 4)
    assert found["pandalm_coverage"].value == 1
    assert "58.3 %" in found["pandalm_agreement"].note
    assert found["pandalm_agreement"].passed is False


def test_a_judge_that_cannot_read_it_abstains_and_has_no_figure(tmp_path: Path) -> None:
    found = of_panda(FakeJudge(abstaining), write(tmp_path / "p.jsonl", [panda(), panda(input="More.")]))
    assert (found["pandalm_agreement"].value, found["pandalm_agreement"].status) == (None, "not_run")
    assert found["pandalm_longest_agreement"].value is None
    assert found["pandalm_coverage"].value == 0
    assert found["pandalm_coverage"].note == "2 unsupported"
    assert found["pandalm_human_agreement"].value == pytest.approx(1 / 3)


def test_only_pairs_with_a_verdict_count(tmp_path: Path) -> None:
    rows = [panda(), panda(instruction="Räkna!", labels=["b", "b", "b"])]
    path = write(tmp_path / "p.jsonl", rows)
    found = of_panda(FakeJudge(lambda item: "unsupported" if "Räkna" in item.prompt else likes_hello(item)), path)
    assert found["pandalm_agreement"].value == pytest.approx(2 / 3)
    assert found["pandalm_coverage"].value == 0.5


def test_at_most_so_many_pairs_are_asked_but_people_are_counted_on_all(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", [panda(instruction=f"Say {at}.") for at in range(20)])
    judge = FakeJudge(likes_hello)
    found = of_panda(judge, path, most=5)
    assert found["pandalm_agreement"].count == 5
    assert found["pandalm_human_agreement"].count == 20
    assert judge.asked == 10


def test_the_request_and_its_input_are_what_the_judge_is_shown(tmp_path: Path) -> None:
    opinion = read_pandalm(write(tmp_path / "p.jsonl", [panda(input="In Latin.")]))[0]
    assert opinion.pair.first.prompt == "Say hello.\n\nIn Latin."
    assert (opinion.pair.first.answer, opinion.pair.second.answer) == ("Hello!", "No, no.")
    assert opinion.pair.first.part == "task"


def test_llmbar_is_told_overall_and_by_subset(tmp_path: Path) -> None:
    rows = [bar(), bar(label="b"), bar(subset="neighbor", label="b", response_b="Hello!", response_a="No")]
    opinions = read_llmbar(write(tmp_path / "l.jsonl", rows))
    checks = llmbar_checks(FakeJudge(likes_hello), RUBRIC, opinions, most=9, limit=LEAST, bootstrap=BOOTSTRAP)
    found = {check.name: check.value for check in checks}
    assert found["llmbar_accuracy"] == pytest.approx(2 / 3)
    assert (found["llmbar_natural_accuracy"], found["llmbar_neighbor_accuracy"]) == (0.5, 1)
    assert found["llmbar_longest_accuracy"] == pytest.approx((0 + 1 + 1) / 3)


def test_without_files_the_rows_are_there_and_not_run() -> None:
    judge = FakeJudge(likes_hello)
    for ask in (pandalm_checks, llmbar_checks):
        checks = ask(judge, RUBRIC, None, most=9, limit=LEAST, bootstrap=BOOTSTRAP)
        assert all(check.value is None and check.status == "not_run" for check in checks)
        assert "no file is named (calibrate.examination.agreement." in checks[0].note
        assert checks[0].threshold == LEAST.threshold
    assert judge.asked == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (panda(labels=["a"]), "'labels' must hold two or more of a, b, tie"),
        (panda(labels=["a", "c"]), "'labels' must"),
        (panda(labels="aab"), "'labels' must"),
        (panda(labels=[["a"], "a"]), "'labels' must"),
        (panda(response_a=""), "'response_a' is empty"),
        (panda(instruction=3), "'instruction' is 3"),
        (panda(response_b="Hm \ud800"), "half a character"),
        ({"labels": ["a", "a"]}, "'input' is missing"),
        ([1], "it is a list"),
    ],
)
def test_a_wrong_row_of_pandalm_is_named(tmp_path: Path, row: Any, said: str) -> None:
    path = write(tmp_path / "p.jsonl", [panda(), row])
    with pytest.raises(UserError, match=rf"p\.jsonl:2: .*{said}"):
        read_pandalm(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (bar(label="tie"), "'label' must be a or b; got 'tie'"), (bar(label=None), "'label'"),
        (bar(label=["a"]), "'label'"), (bar(subset=4), "'subset' is 4"),
    ],
)  # fmt: skip
def test_a_wrong_row_of_llmbar_is_named(tmp_path: Path, row: Any, said: str) -> None:
    path = write(tmp_path / "l.jsonl", [bar(), row])
    with pytest.raises(UserError, match=rf"l\.jsonl:2: .*{said}"):
        read_llmbar(path)


def test_a_missing_empty_or_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    cut = write(tmp_path / "cut.jsonl.gz", [panda(instruction=f"{at} {at * 7919}") for at in range(200)])
    cut.write_bytes(cut.read_bytes()[:-30])
    (tmp_path / "latin.jsonl").write_bytes(b'{"instruction": "caf\xe9"}\n')
    for name, said in (
        ("none.jsonl", r"no such file \(calibrate\.examination\.agreement\.pandalm\)"),
        ("empty.jsonl", "holds no pair"),
        ("cut.jsonl.gz", "can't be read"), ("latin.jsonl:1", "not a JSON object in UTF-8"), (".", "is a folder"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            read_pandalm(tmp_path / name.split(":")[0])
