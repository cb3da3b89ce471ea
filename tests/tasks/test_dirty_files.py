"""The broken files that lie beside the project, through `ingest` and `prepare` as a user runs them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.records import read_rows
from tests.conftest import ROOT, Run

INGEST = ("--records=data/raw.parquet", "--unreadable=data/unreadable.jsonl", "--metrics=metrics/ingest.json")
PREPARE = (
    "--records=data/raw.parquet", "--clean=data/clean", "--rejected=data/rejected.parquet",
    "--metrics=metrics/prepare.json",
)  # fmt: skip

UNREADABLE = {"broken_utf8.txt": 10, "truncated.jsonl": 1, "wrong_fields.jsonl": 15, "huge_line.jsonl.gz": 1}  # lines
REASONS = {  # of what can be read and is not kept
    "duplicates.jsonl": {"exact_duplicate": 90, "near_duplicate": 30},
    "mojibake.jsonl": {"replacement_characters": 15},
    "html_noise.jsonl": {"unsafe": 1, "exact_duplicate": 6},  # a story of a pistol; six that the other files hold too
}
FILES = (*UNREADABLE, *REASONS)


def source_of(name: str) -> str:
    return name.partition(".")[0].replace("_", "-")


def params(*files: Path, bad_records: str) -> str:
    """A source a file, and the project's own parameters of prepare."""
    sources = [
        {
            "name": source_of(file.name),
            "kind": "files",
            "globs": [str(file)],
            "licence": "CDLA-Sharing-1.0",
            "weight": 1.0,
        }
        for file in files
    ]
    ingest = {"sources": sources, "bad_records": bad_records, "max_record_bytes": 1_000_000}
    lines = (ROOT / "params.yaml").read_text().splitlines()
    start = lines.index("prepare:")
    end = next((at for at, line in enumerate(lines) if at > start and line[:1].isalpha()), len(lines))
    return "\n".join([f"ingest: {json.dumps(ingest)}", *lines[start:end]]) + "\n"


def counted(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """The reasons of what was rejected, by source."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["source"], Counter())[row["reason"]] += 1
    return {name: dict(reasons) for name, reasons in found.items()}


def test_what_is_good_goes_on_and_the_rest_has_its_place_and_reason(
    dirty: Path, workspace: Path, run_stage: Run
) -> None:
    (workspace / "params.yaml").write_text(params(*(dirty / name for name in FILES), bad_records="keep apart"))

    for stage, arguments in (("ingest", INGEST), ("prepare", PREPARE)):
        done = run_stage(stage, *arguments)
        assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (0, False), done.stderr

    places = [json.loads(line) for line in Path("data/unreadable.jsonl").read_text().splitlines()]
    assert Counter(Path(place["file"]).name for place in places) == UNREADABLE
    assert all(place["line"] and place["problem"] for place in places)
    rejected = list(read_rows(Path("data/rejected.parquet")))
    assert counted(rejected) == {source_of(name): reasons for name, reasons in REASONS.items()}
    figures = json.loads(Path("metrics/prepare.json").read_text())
    assert figures["records_in"] == figures["records_kept"] + len(rejected)


@pytest.mark.parametrize("name", [*UNREADABLE, "empty.jsonl"])
def test_where_the_first_mistake_ends_the_run_it_is_one_line(
    dirty: Path, workspace: Path, run_stage: Run, name: str
) -> None:
    (workspace / "params.yaml").write_text(params(dirty / name, bad_records="stop"))
    done = run_stage("ingest", *INGEST)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("ingest: ")
    assert name in line
    assert not Path("data/raw.parquet").exists()
