"""`fledgling promote` and `fledgling rollback` as they are typed, without a server."""

import getpass
import shutil
import sys
from pathlib import Path

import pytest

from fledgling.cli import main
from tasks.registry import notice, store
from tests.tasks.registry.versions import make_version, named, tags

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without versions."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    store._make_database(path)
    return path


@pytest.fixture
def versions(database: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two registered versions, of which the gate speaks for the first."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv(notice.ADDRESS, raising=False)
    store.DATABASE.parent.mkdir(parents=True)
    shutil.copy(database, store.DATABASE)
    Path("dvc.yaml").touch()
    make_version(tmp_path, 1)
    make_version(tmp_path, 2, gate_decision="undecided", gate_reasons="the interval holds one half")
    return workspace


def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Runs the command; its exit code and what it printed, or the one line of a mistake."""
    monkeypatch.setattr(sys, "argv", ["fledgling", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().out.strip()
    code = ended.value.code
    return (1, code) if isinstance(code, str) else (code, printed)


def test_there_and_back(versions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = typed(monkeypatch, capsys, "promote", "1")
    assert (code, printed.splitlines()) == (0, [
        "fledgling version 1 is the champion now; no champion before it",
        "now: git add champion && git commit -m 'fledgling version 1': the gate compares the next model with it",
    ])  # fmt: skip
    assert tags(1)["promoted_by"] == getpass.getuser()

    code, line = typed(monkeypatch, capsys, "promote")
    assert code == 1
    assert line == (
        "fledgling: the gate says 'undecided' of version 2: the interval holds one half; "
        "`fledgling promote --despite REASON` does it all the same"
    )
    code, printed = typed(monkeypatch, capsys, "promote", "candidate", "--despite", "people like it")
    assert (code, printed.splitlines()[0]) == (0, "fledgling version 2 is the champion now; version 1 before it")
    assert tags(2)["promoted_despite"] == "people like it"

    code, printed = typed(monkeypatch, capsys, "rollback", "--reason", "it stutters")
    assert (code, printed.splitlines()[0]) == (
        0, "fledgling version 1 is the champion now, version 2 was rolled back; no champion before it",
    )  # fmt: skip
    assert tags(2)["rolled_back_reason"] == "it stutters"
    assert named() == {"champion": 1, "previous_champion": None}
    assert typed(monkeypatch, capsys, "rollback") == (
        1, "fledgling: version 1 is the only champion so far: there is none to go back to",
    )  # fmt: skip


def test_where_there_is_no_registry(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("dvc.yaml").touch()
    for command in ("promote", "rollback"):
        code, line = typed(monkeypatch, capsys, command)
        assert code == 1
        assert line.startswith("fledgling: there is no registry yet (var/mlflow/mlflow.db); `make pipeline` makes it")
