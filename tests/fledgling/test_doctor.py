"""The doctor names what is wrong and what to do, and only a problem makes it fail."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from fledgling import doctor
from fledgling.doctor import folder, installed, machine
from fledgling.doctor.finding import Finding
from fledgling.platform import addresses

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning")  # pygtrie, in DVC


@pytest.fixture
def project(workspace: Path) -> Path:
    """The files that the doctor reads, in a folder of their own."""
    for name in ("dvc.yaml", "params.yaml", "constraints.txt"):
        shutil.copy(ROOT / name, workspace / name)
    (workspace / ".dvc").mkdir()
    (workspace / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return workspace


def only(findings: object) -> Finding:
    (found,) = list(findings)  # type: ignore[call-overload]
    return found


def test_the_locked_packages_are_installed(project: Path) -> None:
    assert only(installed.packages()).state == "ok"


def test_another_version_is_named(project: Path) -> None:
    (project / "constraints.txt").write_text("typer==0.0.1\nno-such-package-at-all==1\n")
    found = only(installed.packages())
    assert found.state == "warning"
    assert "(locked: 0.0.1)" in found.seen
    assert "no-such-package-at-all missing" in found.seen
    assert "make setup" in found.advice


def test_a_missing_direct_dependency_is_a_problem() -> None:
    assert installed._needed(["great_expectations"])
    assert not installed._needed(["no-such-package-at-all"])


def test_a_mistake_in_params_is_named_with_its_line(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("\nprepare:\n", "\nprepare:\n  no_such_key: 1\n"))
    (found,) = [found for found in folder.parameters() if found.state == "problem"]
    assert "params.yaml:" in found.seen
    assert "prepare.no_such_key" in found.seen


def test_every_stage_reads_its_section(project: Path) -> None:
    assert [found.state for found in folder.parameters()] == ["ok"]


def test_without_git_the_chain_still_runs(project: Path) -> None:
    found = only(folder.git())
    assert found.state == "warning"
    assert "git init" in found.advice


def test_changes_that_are_not_committed_are_a_warning(project: Path) -> None:
    for command in ("init -q", "add dvc.yaml", "-c user.name=a -c user.email=a@b commit -q -m first"):
        subprocess.run(["git", *command.split()], check=True)
    assert only(folder.git()).state == "ok"
    (project / "dvc.yaml").write_text("stages: {}\n")
    found = only(folder.git())
    assert (found.state, "dirty" in found.advice) == ("warning", True)


def test_dvc_says_what_is_stale(project: Path) -> None:
    found = only(folder.dvc())
    assert found.state == "ok", found
    assert "ingest" in found.seen


@pytest.mark.parametrize("text", ["stages: [", "stages: {a: {cmd: true, no_such: 1}}", "stages: {a: {outs: [b]}}"])
def test_a_broken_graph_is_a_problem(project: Path, text: str) -> None:
    (project / "dvc.yaml").write_text(text)
    found = only(folder.dvc())
    assert found.state == "problem"
    assert "\n" not in found.seen


def test_without_dvc_it_says_how_to_begin(workspace: Path) -> None:
    found = only(folder.dvc())
    assert (found.state, found.advice) == ("problem", "`dvc init --no-scm`")


def test_on_a_cpu_llama_cpp_is_recommended(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_has_gpu", lambda: False)
    for is_there, build in ((False, "`make llama-cpp`, then "), (True, "")):
        monkeypatch.setattr(machine, "_has_llama_cpp", lambda is_there=is_there: is_there)
        found = only(machine.engine())
        assert (found.state, found.seen.startswith("engine torch; ")) == ("ok", True)
        assert found.advice == f"{machine.SOONER}: {build}serve.engine: llama.cpp in params.yaml"
    monkeypatch.setattr(machine, "_has_gpu", lambda: True)
    assert only(machine.engine()).advice == ""


def test_an_engine_that_is_not_installed_is_a_problem(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("\n  engine: torch ", "\n  engine: llama.cpp "))
    monkeypatch.setattr(machine, "_has_llama_cpp", lambda: False)
    found = only(machine.engine())
    assert (found.state, "`make llama-cpp` builds it" in found.advice) == ("problem", True)
    monkeypatch.setattr(machine, "_has_llama_cpp", lambda: True)
    assert (only(machine.engine()).state, only(machine.engine()).advice) == ("ok", "")
    (project / "params.yaml").write_text(text.replace("\n  engine: torch ", "\n  engine: vllm "))
    found = only(machine.engine())
    assert (found.state, "serve.engine" in found.seen) == ("problem", True)


def test_a_taken_port_is_a_warning(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((addresses.HOST, 0))
        taken.listen()
        monkeypatch.setenv("FLEDGLING_MLFLOW_PORT", str(taken.getsockname()[1]))
        found = next(found for found in machine.ports() if "MLflow" in found.what)
    assert found.state == "warning"
    assert "FLEDGLING_MLFLOW_PORT" in found.advice


def test_only_a_problem_makes_it_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    warning = Finding(what="[this]", state="warning", seen="half", advice="do [that]")
    monkeypatch.setattr(doctor, "EXAMINATIONS", (lambda: iter([warning]),))
    assert doctor.examine() == 0
    assert "do [that]" in capsys.readouterr().out
    problem = Finding(what="a", state="problem", seen="b", advice="c")
    monkeypatch.setattr(doctor, "EXAMINATIONS", (lambda: iter([warning, problem]),))
    assert doctor.examine() == 1
