"""`make bench` as a whole: what is kept, what is named, and how it ends."""

import json
from pathlib import Path

import pytest

import benchmarks.__main__ as bench
from benchmarks.row import Row
from tasks.stage import UserError


def reached() -> Row:
    return Row(
        name="reached", unit="s", value=2.0, peer="two", peer_value=2.0, bar=1.0, lower_is_better=True, note="so"
    )


def missed() -> Row:
    return Row(name="missed", unit="s", value=3.0, peer="two", peer_value=2.0, bar=1.0, lower_is_better=True)


def not_here() -> Row:
    raise UserError("no such library; `make library` builds it")


def test_what_cannot_run_is_named_and_what_missed_its_bar_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(bench, "MEASUREMENTS", (reached, not_here))
    assert bench.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "reached: 2.00 s beside 2.00 (two), ratio 1.0 (bar 1.0: reached); so",
        "not_here: NOT RUN: no such library; `make library` builds it",
    ]
    (kept,) = json.loads(bench.RESULTS.read_text())
    assert (kept["name"], kept["ratio"], kept["note"]) == ("reached", 1.0, "so")
    monkeypatch.setattr(bench, "MEASUREMENTS", (reached, missed))
    assert bench.main() == 1
