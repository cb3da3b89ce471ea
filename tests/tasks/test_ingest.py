"""The stage: sources mixed into one table, and each bad input one line with the last good state intact."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import ingest as ingest_module
from tasks.ingest import IngestParams, ingest
from tasks.records import Record, read_rows
from tasks.stage import UserError
from tests.conftest import ROOT, Run, records

OUT = {
    "records": Path("data/raw.parquet"),
    "unreadable": Path("data/unreadable.jsonl"),
    "metrics": Path("metrics/ingest.json"),
}
ARGUMENTS = [f"--{name}={path}" for name, path in OUT.items()]


def holdout() -> Iterator[Record]:
    yield from records(["A story that is never trained on."], source="storybook-holdout", split="written")


@pytest.fixture
def stories(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ingest_module.sources, "storybook_holdout", holdout)
    return workspace


def files(name: str, *globs: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "files", "globs": list(globs), "licence": "CC0-1.0", "weight": 1.0, **more}


def params(*sources: dict[str, Any], bad_records: str = "stop") -> IngestParams:
    text = json.dumps({"sources": sources, "bad_records": bad_records, "max_record_bytes": 1_000_000})
    return IngestParams.model_validate_json(text)


def test_sources_are_mixed_with_names_licences_and_weights(stories: Path) -> None:
    Path("a.txt").write_text("one")
    Path("b.jsonl").write_text('{"story": "two"}\n{"story": "three"}\n')
    second = files("b", "b.jsonl", column="story", weight=2.5, licence="MIT")
    ingest(params(files("a", "a.txt"), second), **OUT)
    rows = [
        (row["text"], row["source"], row["licence"], row["weight"], row["split"]) for row in read_rows(OUT["records"])
    ]
    assert rows == [
        ("A story that is never trained on.", "storybook-holdout", "CC0-1.0", 1.0, "written"),
        ("one", "a", "CC0-1.0", 1.0, ""),
        ("two", "b", "MIT", 2.5, ""),
        ("three", "b", "MIT", 2.5, ""),
    ]
    assert json.loads(OUT["metrics"].read_text()) == {
        "records": 4, "records_unreadable": 0, "records_a": 1, "records_b": 2, "records_storybook_holdout": 1,
    }  # fmt: skip
    assert OUT["unreadable"].read_text() == ""


def test_keep_apart_keeps_the_place_and_the_reason(stories: Path) -> None:
    Path("a.jsonl").write_text('{"text": "good"}\n{"text": 1}\n{"text": "cut\n')
    ingest(params(files("a", "a.jsonl"), bad_records="keep apart"), **OUT)
    found = [json.loads(line) for line in OUT["unreadable"].read_text().splitlines()]
    assert [(entry["file"], entry["line"]) for entry in found] == [("a.jsonl", 2), ("a.jsonl", 3)]
    assert "must be text, got int" in found[0]["problem"]
    assert "not valid JSON" in found[1]["problem"]
    assert json.loads(OUT["metrics"].read_text())["records_unreadable"] == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", r"source 'a' holds no record \(empty\.jsonl\)"),
        ("blank.txt", b" \n\n", r"source 'a' holds no record \(blank\.txt\)"),
        ("wrong.jsonl", b'{"text": "ok"}\n{"story": "x"}\n', r"wrong\.jsonl:2: no field 'text'"),
        ("bad.txt", b"ok\ncaf\xe9\n", r"bad\.txt:2: not UTF-8"),
    ],
)
def test_what_stops_it_leaves_the_last_good_table(stories: Path, name: str, content: bytes, said: str) -> None:
    Path("good.txt").write_text("good")
    ingest(params(files("a", "good.txt")), **OUT)
    before = {path: path.read_bytes() for path in OUT.values()}
    Path(name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        ingest(params(files("a", name)), **OUT)
    assert {path: path.read_bytes() for path in OUT.values()} == before
    assert {path.name for path in Path("data").iterdir()} == {"raw.parquet", "unreadable.jsonl"}


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two sources are called 'a'"):
        params(files("a", "x"), files("a", "y"))


# as a user runs it

GOOD_PARAMS = """\
ingest:
  sources:
    - {name: own, kind: files, globs: ["*.jsonl"], licence: CC0-1.0, weight: 1.0}
  bad_records: stop
  max_record_bytes: 100000
"""


def fails_in_one_line(run_stage: Run, *said: str) -> None:
    done = run_stage("ingest", *ARGUMENTS)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("ingest: ")
    assert all(part in line for part in said), line
    assert "Traceback" not in done.stdout + done.stderr


def test_from_the_command_line_good_then_bad_then_a_full_disk(workspace: Path, run_stage: Run) -> None:
    (workspace / "params.yaml").write_text(GOOD_PARAMS)
    (workspace / "a.jsonl").write_text('{"text": "good"}\n')
    done = run_stage("ingest", *ARGUMENTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((workspace / "var/timings/ingest.json").read_text())["seconds"] > 0
    before = OUT["records"].read_bytes()
    (workspace / "a.jsonl").write_bytes(b'{"text": "good"}\n{"text": "cut')
    fails_in_one_line(run_stage, "a.jsonl:2: not valid JSON", "'keep apart'")
    (workspace / "a.jsonl").write_text('{"text": "good"}\n')
    Path(f"{OUT['records']}.partial").symlink_to("/dev/full")
    fails_in_one_line(run_stage, "the disk is full")
    assert OUT["records"].read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("kind: files", "kind: file", ["params.yaml:3:", "'file'", "'storybook', 'files', 'hub'"]),
        ("globs:", "glob:", ["params.yaml:3:", "unknown key", "globs"]),
    ],
)
def test_a_mistake_in_the_parameters(run_stage: Run, workspace: Path, before: str, after: str, said: list[str]) -> None:
    (workspace / "params.yaml").write_text(GOOD_PARAMS.replace(before, after))
    fails_in_one_line(run_stage, *said)


HUB = """\
ingest:
  sources:
    - {name: far, kind: hub, dataset: DATASET, revision: null, licence: CC0-1.0, weight: 1.0, records: 2}
  bad_records: stop
  max_record_bytes: 100000
"""


def test_a_hub_name_that_cannot_be_read_and_a_local_folder_that_can(workspace: Path, run_stage: Run) -> None:
    (workspace / "params.yaml").write_text(HUB.replace("DATASET", "nobody/has-this-data-set"))
    fails_in_one_line(run_stage, "source 'far': can't read hub data set nobody/has-this-data-set@newest")
    (workspace / "local").mkdir()
    (workspace / "local" / "train.jsonl").write_text("".join(f'{{"text": "t{n}"}}\n' for n in range(5)))
    (workspace / "params.yaml").write_text(HUB.replace("DATASET", "./local"))
    done = run_stage("ingest", *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    assert [row["text"] for row in read_rows(OUT["records"]) if row["source"] == "far"] == ["t0", "t1"]
    assert not [path for path in (workspace.parent / "home").rglob("*") if path.is_file()]


def test_the_module_is_run_from_any_folder(run_stage: Run) -> None:
    assert "--records" in run_stage("ingest", "--help").stdout
    assert (ROOT / "tasks" / "ingest.py").exists()
