"""A judge beside the project's own reviewers, from batch files: kept verdicts, verdicts asked anew, none."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.examination.people import Reviews, read_reviews, reviewers_checks
from tasks.judging.examination.scorecard import Check
from tasks.judging.records import Item
from tasks.reviews.batch_file import Answer, Feedback, Manifest, Prompt, manifest_of, text_of
from tasks.stage import UserError
from tests.tasks.judging.examination.fake import BOOTSTRAP, RUBRIC, FakeJudge, abstaining

DAY = date(2026, 11, 22)
TEXTS = {"a": "Good.", "b": "Bad story, long.", "c": "Good indeed."}
JUDGE = FakeJudge(lambda item: 5.0 if item.answer.startswith("Good") else 1.0)


def row(
    annotation: int, decision: dict[str, Any], *, item: int = 0, reviewer: str = "reader-a", kind: str = "choice",
    shown: str = "ab", judge: Mapping[str, Any] = {}, **changes: Any,
) -> Feedback:  # fmt: skip
    """A decision on the answers `shown` to the prompt of an item."""
    answers = [
        Answer(
            generation=f"{item}{name}", judged_item="j", text=TEXTS[name], model="base", model_version="", decoding={}
        )
        for name in shown
    ]
    prompt = Prompt(
        id=f"p{item}", text=f"Tell of {item}.", document="", task="story", cluster=f"p{item}", split="train"
    )
    fields: dict[str, Any] = {
        "batch": "one", "item": f"one/{item}", "annotation": annotation, "kind": kind, "purpose": "ordinary",
        "prompt": prompt, "answers": answers, "decision": decision, "sides": [one.generation for one in answers],
        "reviewer": reviewer, "milliseconds": 4000, "day": DAY, "judge": dict(judge),
    }  # fmt: skip
    return Feedback(**{**fields, **changes, "answers": tuple(answers), "sides": tuple(fields["sides"])})


def write(folder: Path, rows: Sequence[Feedback]) -> Path:
    """A batch file with its manifest."""
    folder.mkdir(exist_ok=True)
    path = folder / "one.jsonl"
    path.write_text(text_of(rows))
    counts: dict[str, Any] = {
        name: {} for name in ("kinds", "tasks", "splits", "purposes", "reviewers", "agreement", "settings")
    }
    manifest = Manifest(
        batch="one", number=1, file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), rows=len(rows),
        source="labelled", published=DAY, collected=DAY, judges=(), left_out=(), **counts,
    )  # fmt: skip
    manifest_of(path).write_text(manifest.text)
    return folder


def checks(judge: FakeJudge, reviews: Reviews, *, most: int = 99) -> dict[str, Check]:
    return {check.name: check for check in reviewers_checks(judge, RUBRIC, reviews, most=most, bootstrap=BOOTSTRAP)}


def of(tmp_path: Path, *rows: Feedback, judge: FakeJudge = JUDGE, most: int = 99) -> dict[str, Check]:
    return checks(judge, read_reviews(write(tmp_path / "feedback", rows)), most=most)


def two_readers(count: int = 4) -> list[Feedback]:
    """Of each two readers on an item: one always with the judge, the other on every second item."""
    found = []
    for item in range(count):
        for at, reviewer in enumerate(("reader-a", "reader-b")):
            winner = f"{item}b" if at and item % 2 else f"{item}a"
            found.append(row(2 * item + at, {"winner": winner}, item=item, reviewer=reviewer))
    return found


def test_the_judge_stands_beside_people_and_they_beside_each_other(tmp_path: Path) -> None:
    found = of(tmp_path, *two_readers())
    assert found["reviewers_agreement"].value == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    assert found["reviewers_human_agreement"].value == pytest.approx(0.5)
    assert found["reviewers_longest_agreement"].value == pytest.approx(0.25)
    assert found["reviewers_coverage"].value == 1
    assert (found["reviewers_agreement"].count, found["reviewers_human_agreement"].count) == (4, 4)
    assert found["reviewers_human_kappa"].value == pytest.approx((0.5 - 0.625) / (1 - 0.625))  # 6 of 8 votes alike
    assert found["reviewers_human_kappa"].count == 4
    assert found["reviewers_agreement"].passed is None


def test_agreement_beyond_chance(tmp_path: Path) -> None:
    rows = [row(at, {"winner": f"{at}{'ab'[at % 2]}"}, item=at) for at in range(6)]
    knows = FakeJudge(lambda item: 5.0 if (item.prompt_id in ("p1", "p3", "p5")) ^ (item.answer == "Good.") else 1.0)
    contrary = FakeJudge(lambda item: 6 - float(knows.level(item)))
    assert of(tmp_path, *rows, judge=knows)["reviewers_kappa"].value == 1
    assert of(tmp_path, *rows, judge=contrary)["reviewers_kappa"].value == -1
    found = of(tmp_path, *rows, judge=FakeJudge(lambda item: 5.0 if item.answer == "Good." else 1.0))
    assert (found["reviewers_kappa"].value, found["reviewers_agreement"].value) == (0, 0.5)


def test_nobody_with_whom_to_compare_people(tmp_path: Path) -> None:
    found = of(tmp_path, row(1, {"winner": "0a"}))
    assert found["reviewers_agreement"].value == 1
    assert (found["reviewers_human_agreement"].value, found["reviewers_human_kappa"].status) == (None, "not_run")


def test_without_batch_files_every_row_is_there_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Nothing yet.")
    for folder in (tmp_path, tmp_path / "none"):
        judge = FakeJudge(abstaining)
        found = checks(judge, read_reviews(folder))
        assert all(check.status == "not_run" for check in found.values())
        assert judge.asked == 0
    rated = row(2, {"scores": {"grammar": 3}}, kind="rating", shown="a", item=1)
    assert set(found) <= set(of(tmp_path, row(1, {"winner": "0a"}), rated))


def test_a_verdict_of_this_very_judge_is_not_asked_again(tmp_path: Path) -> None:
    judge = FakeJudge(abstaining)
    own, other = {"judge": str(judge.id)}, {"judge": "fake-judge@00000000"}
    rows = [
        row(1, {"winner": "0b"}, item=0, judge={**own, "winner": "0b"}),
        row(2, {"winner": "tie"}, item=1, judge={**own, "winner": "tie"}),
        row(3, {"winner": "2a"}, item=2, judge={**own, "status": "refused"}),
        row(4, {"winner": "3a"}, item=3, judge={**other, "winner": "3a"}),  # trained anew since: another judge
    ]
    found = of(tmp_path, *rows, judge=judge)
    assert judge.asked == 2
    assert (found["reviewers_agreement"].value, found["reviewers_agreement"].count) == (1, 2)
    assert found["reviewers_coverage"].value == 0.5
    assert found["reviewers_coverage"].note == "1 refused, 1 unsupported"
    assert "3 of 4 verdicts kept" in found["reviewers_agreement"].note


def test_both_bad_is_a_tie(tmp_path: Path) -> None:
    equal = FakeJudge(lambda item: 3.0)
    rows = [row(1, {"winner": "both_bad"}), row(2, {"winner": "tie"}, reviewer="reader-b")]
    found = of(tmp_path, *rows, judge=equal)
    assert (found["reviewers_agreement"].value, found["reviewers_human_agreement"].value) == (1, 1)


def test_a_ranking_is_asked_two_at_a_time(tmp_path: Path) -> None:
    tiers = [["0a", "0c"], ["0b"]]
    found = of(tmp_path, row(1, {"tiers": tiers}, kind="ranking", shown="cab"))
    assert (found["reviewers_agreement"].value, found["reviewers_agreement"].count) == (1, 3)
    judge = FakeJudge(abstaining)
    own = {"judge": str(judge.id), "tiers": tiers}
    kept = of(tmp_path, row(1, {"tiers": tiers}, kind="ranking", shown="cab", judge=own), judge=judge)
    assert (kept["reviewers_agreement"].value, judge.asked) == (1, 0)


def test_gold_items_and_repeats_are_left_out(tmp_path: Path) -> None:
    rows = [
        row(1, {"winner": "0a"}),
        row(2, {"winner": "0b"}, purpose="again"),
        row(3, {"winner": "1b"}, item=1, purpose="gold"),
    ]
    assert of(tmp_path, *rows)["reviewers_agreement"].count == 1


def level(item: Item) -> float:
    return float(item.prompt_id.removeprefix("p"))


def test_levels_are_compared_by_axis(tmp_path: Path) -> None:
    rows = [
        row(at, {"scores": {"grammar": at, "creativity": 6 - at}}, item=at, kind="rating", shown="a")
        for at in range(1, 6)
    ]
    seconds = [
        row(
            10 + at,
            {"scores": {"grammar": at, "creativity": 1}},
            item=at,
            kind="rating",
            shown="a",
            reviewer="reader-b",
        )
        for at in range(1, 6)
    ]
    found = of(tmp_path, *rows, judge=FakeJudge(level))
    assert (found["reviewers_grammar_kappa"].value, found["reviewers_creativity_kappa"].value) == (1, -1)
    assert found["reviewers_rating_kappa"].value == pytest.approx(0)
    assert found["reviewers_human_rating_kappa"].status == "not_run"
    both = of(tmp_path, *rows, *seconds, judge=FakeJudge(level))
    assert 0 < (both["reviewers_human_rating_kappa"].value or 0) < 1
    assert both["reviewers_human_rating_kappa"].count == 10


def test_kept_levels_are_rounded_to_whole_ones(tmp_path: Path) -> None:
    judge = FakeJudge(abstaining)
    rows = [
        row(at, {"scores": {"grammar": at}}, item=at, kind="rating", shown="a",
            judge={"judge": str(judge.id), "scores": {"grammar": at + 0.4}})
        for at in range(1, 5)
    ]  # fmt: skip
    assert of(tmp_path, *rows, judge=judge)["reviewers_grammar_kappa"].value == 1
    assert judge.asked == 0


def test_at_most_so_many_are_asked(tmp_path: Path) -> None:
    judge = FakeJudge(lambda item: 5.0 if item.answer == "Good." else 1.0)
    rated = [row(100 + at, {"scores": {"grammar": 3}}, item=at, kind="rating", shown="a") for at in range(9)]
    found = of(tmp_path, *two_readers(20), *rated, judge=judge, most=5)
    assert judge.asked == 2 * 5 + 5
    assert (found["reviewers_agreement"].count, found["reviewers_human_agreement"].count) == (5, 20)


def test_a_broken_batch_file_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "feedback", [row(1, {"winner": "0a"})])
    (folder / "one.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"one\.jsonl: not what one\.manifest\.json says it is"):
        read_reviews(folder)
    (folder / "one.jsonl").unlink()
    with pytest.raises(UserError, match=r"one\.jsonl: is missing"):
        read_reviews(folder)
