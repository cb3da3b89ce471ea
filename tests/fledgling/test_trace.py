"""`fledgling trace`, as it is typed."""

import json
import sys
from pathlib import Path

import pytest

from fledgling.cli import main
from tests.tasks.provenance.conftest import registered, registered_template

__all__ = ["registered", "registered_template"]

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


class Trace:
    """Runs the command; its exit code, or its one line, and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[object, str]:
        self._monkeypatch.setattr(sys, "argv", ["fledgling", "trace", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, self._capsys.readouterr().out


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trace:
    return Trace(monkeypatch, capsys)


def test_a_version_by_its_number_or_alias(registered: Path, trace: Trace) -> None:
    code, printed = trace("1")
    assert (code, printed.splitlines()[0]) == (0, "fledgling version 1 (candidate): the finetuned model")
    assert trace() == trace("candidate") == (code, printed)


def test_json_is_nothing_but_json(registered: Path, trace: Trace) -> None:
    told = json.loads(trace("1", "--json")[1])
    assert (told["schema_version"], told["kind"], told["model"]["version"]) == (1, "version", 1)
    batch = json.loads(trace("b", "--json")[1])
    assert (batch["kind"], batch["learners"][0]["version"]) == ("batch", 1)


def test_verify_ends_with_1_where_a_hash_differs(registered: Path, trace: Trace) -> None:
    code, printed = trace("1", "--verify")
    assert code == 0
    assert printed.rstrip().endswith("0 missing, 0 differ")

    Path("data/pairs/manifest.json").write_text("{}")

    code, printed = trace("1", "--verify")
    assert code == 1
    assert [line.split()[:2] for line in printed.splitlines() if "differs" in line] == [["differs", "data/pairs"]]
    checks = json.loads(trace("1", "--verify", "--json")[1])
    assert [check["what"] for check in checks if check["state"] != "ok"] == ["data/pairs"]


def test_verify_of_a_batch_looks_at_its_files(registered: Path, trace: Trace) -> None:
    assert trace("b", "--verify")[0] == 0
    Path("data/feedback/b.jsonl").write_text("")
    code, printed = trace("b", "--verify")
    assert (code, printed.splitlines()[0].split()[:2]) == (1, ["differs", "data/feedback/b.jsonl"])


def test_the_page_goes_where_it_is_asked_for(registered: Path, trace: Trace) -> None:
    trace("b", "--page", "b.html")
    assert "<h1>Batch b</h1>" in Path("b.html").read_text()
    assert (
        trace("b", "--page", "no/such/b.html")[0] == "fledgling: --page no/such/b.html: not a file that can be written"
    )


def test_what_there_is_not_is_one_line_with_what_there_is(registered: Path, trace: Trace) -> None:
    line, _ = trace("7")
    assert line == (
        "fledgling: the registry has no version or alias '7' of 'fledgling'; there is 1, candidate; batches: b"
    )


def test_without_a_registry_a_batch_is_told_and_a_version_is_one_line(
    registered: Path, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    Path("var/mlflow/mlflow.db").unlink()
    code, printed = trace("b")
    assert code == 0
    assert printed.rstrip().endswith("no version")
    assert str(trace("1")[0]).startswith("fledgling: there is no registry yet")
