"""A batch file: what is in it is read back, and what is not a batch file is told in one line."""

import hashlib
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.reviews.batch_file import (
    Answer,
    Feedback,
    Manifest,
    Prompt,
    manifest_of,
    read_batch,
    read_folder,
    read_manifest,
    text_of,
)
from tests.conftest import refused

DECISIONS: dict[str, dict[str, Any]] = {
    "choice": {"winner": "g1"},
    "ranking": {"tiers": [["g2"], ["g0", "g1"]]},
    "rating": {"scores": {"grammar": 4, "plot": 2}},
    "correction": {"text": "A better one.\u2028With a line end of Unicode."},
}
SHOWN = {"choice": 2, "ranking": 3, "rating": 1, "correction": 1}


def row(annotation: int = 1, *, kind: str = "choice", **changes: Any) -> Feedback:
    answers = tuple(
        Answer(
            generation=f"g{n}",
            judged_item=f"j{n}",
            text=f"Story {n}.",
            model="base",
            model_version="",
            decoding={"temperature": 0.8},
        )
        for n in range(SHOWN[kind])
    )
    values: dict[str, Any] = {
        "batch": "b",
        "item": f"b/{annotation}",
        "annotation": annotation,
        "kind": kind,
        "purpose": "ordinary",
        "prompt": Prompt(id="p", text="Tell me.", document="", task="story", cluster="p", split="train"),
        "answers": answers,
        "decision": DECISIONS[kind],
        "sides": tuple(answer.generation for answer in reversed(answers)),
        "reviewer": "reader-abc123",
        "milliseconds": 900,
        "day": date(2026, 11, 22),
        "judge": {"judge": "heuristic-a", "winner": "tie"},
    }
    return Feedback(**{**values, **changes})


def write(folder: Path, rows: list[Feedback], *, name: str = "b", sha256: str = "") -> Path:
    path = folder / f"{name}.jsonl"
    text = text_of(rows)
    path.write_text(text)
    manifest = Manifest(
        batch="b", number=1, file=path.name, sha256=sha256 or hashlib.sha256(text.encode()).hexdigest(),
        rows=len(rows), source="labelled", published=date(2026, 11, 20), collected=date(2026, 11, 22),
        kinds=Counter(row.kind for row in rows), tasks={}, splits={}, purposes={},
        reviewers=Counter(row.reviewer for row in rows), judges=(), left_out=(), agreement={}, settings={},
    )  # fmt: skip
    manifest_of(path).write_text(manifest.text)
    return path


def test_every_kind_of_decision_is_read_back(tmp_path: Path) -> None:
    rows = [row(at, kind=kind) for at, kind in enumerate(DECISIONS)]
    path = write(tmp_path, rows)
    assert read_batch(path) == rows
    assert read_folder(tmp_path) == rows
    assert read_manifest(path).rows == 4
    assert read_manifest(path) == read_manifest(manifest_of(path))


def test_the_same_decisions_are_the_same_bytes_whatever_their_order() -> None:
    rows = [row(at) for at in range(5)]
    assert text_of(rows) == text_of(rows[::-1])
    assert list(json.loads(rows[0].line)) == sorted(json.loads(rows[0].line))


def test_only_decisions_on_training_prompts_are_for_training() -> None:
    held_out = Prompt(id="p", text="Tell me.", document="", task="story", cluster="p", split="holdout")
    assert row().is_for_training
    assert not row(prompt=held_out).is_for_training
    assert not row(purpose="gold").is_for_training
    assert not row(purpose="again").is_for_training


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"decision": {"winner": "g7"}}, "not a decision on a choice of these answers"),
        ({"kind": "ranking"}, "not a decision on a ranking of these answers"),
        ({"kind": "ranking", "decision": {"tiers": [["g0"], []]}}, "not a decision on a ranking"),
        ({"kind": "rating", "decision": {"scores": {"grammar": 6}}}, "not a decision on a rating"),
        ({"kind": "correction", "decision": {"text": " "}}, "not a decision on a correction"),
        ({"sides": ["g0", "g9"]}, "sides hold each of the answers g0, g1 once"),
        ({"schema_version": 2}, "schema_version"),
        ({"name": "Ada"}, "name: Extra inputs are not permitted"),
        ({"milliseconds": "fast"}, "milliseconds"),
        ({"day": "yesterday"}, "day"),
    ],
)
def test_what_is_no_decision_is_told_with_its_line(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(row().line + "\n" + json.dumps({**json.loads(row(2).line), **changes}) + "\n")
    with refused(rf"b\.jsonl:3: not a decision as `fledgling review collect` writes it: .*{told}"):
        read_batch(path)


@pytest.mark.parametrize("content", [b"no JSON\n", b"[]\n", b"\xff\xfe\n"])
def test_what_is_no_batch_file_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.jsonl").write_bytes(content)
    with refused(r"b\.jsonl"):
        read_batch(tmp_path / "b.jsonl")


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [row()], sha256="0" * 64)
    with refused(r"b\.jsonl: not what b\.manifest\.json says it is; `dvc checkout` brings it back"):
        read_folder(tmp_path)


def test_a_file_that_git_speaks_of_and_dvc_has_not_brought_is_missed(tmp_path: Path) -> None:
    write(tmp_path, [row()]).unlink()
    with refused(r"b\.jsonl: is missing, its manifest is there; `dvc pull` brings it"):
        read_folder(tmp_path)


def test_an_annotation_is_in_one_file(tmp_path: Path) -> None:
    write(tmp_path, [row(1), row(2)])
    write(tmp_path, [row(2), row(3)], name="b-2")
    with refused(r"b\.jsonl: annotation 2 is in b-2\.jsonl too"):
        read_folder(tmp_path)


def test_a_folder_without_files_holds_no_decisions(tmp_path: Path) -> None:
    assert read_folder(tmp_path) == []
    assert read_folder(tmp_path / "none") == []


def test_a_manifest_that_is_broken_or_missing_is_told_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, [row()])
    manifest_of(path).write_text("{}")
    with refused("not a manifest of a batch file"):
        read_folder(tmp_path)
    manifest_of(path).unlink()
    with refused(r"b\.manifest\.json: can't be read: No such file"):
        read_folder(tmp_path)
