"""The flows of a release on a real Prefect server: the form approves or declines, a kill is survived, the way back."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.gating.champion import Champion, clear_champion, read_champion
from tasks.registry import store
from tasks.registry.gated import FOLDER
from tests.e2e.workspace import wait_for
from tests.flows.served import Server, copy_project, served
from tests.tasks.registry.versions import make_version, named, tags

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PAGE = "# gate: promote\n\n| against | win rate |\n|---|---|\n| base | .61 |\n"
APPROVED = {"decision": "approve", "by": "ada", "comment": "it tells better stories"}

DEFAULT = "\n  automatic: false "
LET_THROUGH = """
import sys
from prefect import flow
from flows.improve import _release

@flow(name="let through")
def let_through(version: int) -> None:
    _release(version, over="the champion")

let_through(int(sys.argv[1]))
"""

# stands in the step that moves the alias until the test lets it go on
HELD_UP = """
import time
from pathlib import Path

def hold_up():
    Path("held").write_text("")
    while Path("hold").exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose registry holds three versions that the gate speaks for; no champion yet."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    scratch = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("MLFLOW_")]:
            patch.delenv(key)
        patch.chdir(folder)
        clear_champion(Path("champion"))
        for number in (1, 2, 3):
            make_version(scratch, number)
            log_page(number)
        _let_it_be_held_up(folder / "tasks" / "registry" / "release.py")
        yield folder


def log_page(number: int) -> None:
    client = store.connect()
    run = client.get_model_version("fledgling", str(number)).run_id
    client.log_text(run, PAGE, f"{FOLDER}/gate.md")


def _let_it_be_held_up(module: Path) -> None:
    """Between the alias champion and the folder champion/: the worst moment to be killed in."""
    text = module.read_text()
    step = "            write_champion(FOLDER, *found)\n"
    assert text.count(step) == 2
    (module.parent / "held.py").write_text(HELD_UP)
    module.write_text(text.replace(step, f"            from tasks.registry.held import hold_up; hold_up()\n{step}", 1))


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with served(project) as server:
        yield server


def asked(server: Server, version: str) -> str:
    """Starts a release and waits until it asks; its id."""
    run = server.run("release", version=version)
    assert server.wait_until(run, "PAUSED", "FAILED", "CRASHED") == "PAUSED", server.lines(run)
    return run


def processes_of(server: Server) -> list[psutil.Process]:
    """The processes of flow runs."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(server.folder) and "prefect.engine" in " ".join(process.cmdline()):
                found.append(process)
    return found


def champion() -> Champion | None:
    return read_champion(Path("champion"))


def test_the_form_shows_the_evidence_and_no_process_waits(server: Server) -> None:
    run = asked(server, "1")
    wait_for(lambda: not processes_of(server), limit_s=30, what="no process", every_s=0.5)
    shown = server.ask(f"/flow_runs/{run}/input/suspended-version-1-description")
    assert "# Shall fledgling version 1 become the champion?" in shown
    assert "The champion is none yet" in shown
    assert "## gate: promote" in shown
    assert "| base | .61 |" in shown
    assert server.deployment("release")["global_concurrency_limit"]["active_slots"] == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"decision": "perhaps", "by": "ada"}, "decision"),
        ({"decision": "approve", "by": ""}, "by"),
        ({"decision": "approve"}, "by"),
        ({**APPROVED, "champion": 2}, "champion"),
    ],
    ids=["unknown decision", "nobody", "no name", "unknown key"],
)
def test_a_bad_form_is_refused_and_the_run_waits_on(server: Server, answer: dict[str, Any], why: str) -> None:
    run = server.runs("release")[0]["id"]
    told = server.send_form(run, answer)
    assert told.startswith("REJECT ")
    assert why in told
    assert server.state(run) == "PAUSED"


def test_approved_it_is_the_champion(server: Server) -> None:
    run = server.runs("release")[0]["id"]
    assert server.send_form(run, APPROVED) == "ACCEPT"
    assert server.wait_until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", server.lines(run)
    assert named() == {"champion": 1, "previous_champion": None}
    held = champion()
    assert held is not None
    assert held.version == 1
    assert tags(1)["promoted_by"] == "ada"
    (event,) = wait_for(lambda: server.events("fledgling.model.promoted"), limit_s=30, what="the event", every_s=0.5)
    assert event["payload"] == {"name": "fledgling", "version": 1, "previous": None}


def test_declined_nothing_moves_and_the_version_says_so(server: Server) -> None:
    run = asked(server, "2")
    assert "The champion is version 1" in server.ask(f"/flow_runs/{run}/input/suspended-version-2-description")
    assert server.send_form(run, {"decision": "decline", "by": "ben", "comment": "too short"}) == "ACCEPT"
    assert server.wait_until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", server.lines(run)
    assert named() == {"champion": 1, "previous_champion": None}
    assert (tags(2)["gate_declined_by"], tags(2)["gate_declined_comment"]) == ("ben", "too short")


def test_killed_while_the_champion_moves_it_is_finished_without_asking_again(server: Server, project: Path) -> None:
    (project / "held").unlink(missing_ok=True)
    (project / "hold").write_text("")
    run = asked(server, "")  # the candidate
    assert server.send_form(run, APPROVED) == "ACCEPT"
    wait_for((project / "held").exists, limit_s=60, what="the middle of the move", every_s=0.1)
    assert named() == {"champion": 3, "previous_champion": 1}
    (process,) = processes_of(server)
    process.send_signal(signal.SIGKILL)
    (project / "hold").unlink()

    assert server.wait_until(run, "CRASHED", limit_s=60) == "CRASHED"
    before = champion()
    assert before is not None
    assert before.version == 1
    (again, *_) = wait_for(lambda: newer(server, run), limit_s=60, what="a run that goes on", every_s=0.5)
    assert server.wait_until(again["id"], "COMPLETED", "PAUSED", "FAILED", "CRASHED") == "COMPLETED"
    after = champion()
    assert after is not None
    assert after.version == 3
    assert named() == {"champion": 3, "previous_champion": 1}
    assert len(newer(server, run)) == 1


def newer(server: Server, run: str) -> list[dict[str, Any]]:
    """The runs that go on where another one was killed."""
    return [found for found in server.runs("release") if found["parameters"].get("approved_in") == run]


def test_rolled_back_the_one_before_is_the_champion(server: Server) -> None:
    run = server.run("rollback", by="ada", reason="it repeats itself")
    assert server.wait_until(run) == "COMPLETED", server.lines(run)
    assert named() == {"champion": 1, "previous_champion": None}
    held = champion()
    assert held is not None
    assert held.version == 1
    assert (tags(3)["rolled_back_by"], tags(3)["rolled_back_reason"]) == ("ada", "it repeats itself")
    (event,) = wait_for(lambda: server.events("fledgling.model.rolled_back"), limit_s=30, what="it", every_s=0.5)
    assert event["payload"]["version"] == 1


def test_killed_with_its_worker_it_goes_on_where_the_platform_starts_again(server: Server, project: Path) -> None:
    from fledgling.platform.worker import close_dead_runs

    (project / "held").unlink()
    (project / "hold").write_text("")
    run = asked(server, "2")
    assert server.send_form(run, APPROVED) == "ACCEPT"
    wait_for((project / "held").exists, limit_s=60, what="the middle of the move", every_s=0.1)
    worker = server.processes.pop()
    for process in (worker, *processes_of(server)):
        process.send_signal(signal.SIGKILL)
    worker.wait(10)
    (project / "hold").unlink()
    assert server.state(run) == "RUNNING"

    close_dead_runs(server.api)
    server.start_worker()
    assert server.wait_until(run, "COMPLETED", "PAUSED", "FAILED", "CRASHED") == "COMPLETED", server.lines(run)
    assert named() == {"champion": 2, "previous_champion": 1}
    held = champion()
    assert held is not None
    assert held.version == 2


@pytest.mark.parametrize("automatic", [False, True], ids=["by default a person", "by parameter"])
def test_what_the_gate_lets_through_is_promoted_by_parameter_alone(
    server: Server, project: Path, automatic: bool
) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.count(DEFAULT) == 1  # off
    (project / "params.yaml").write_text(text.replace(DEFAULT, f"\n  automatic: {str(automatic).lower()} "))
    asked_before = len(server.runs("release"))
    done = subprocess.run(
        [sys.executable, "-c", LET_THROUGH, "1"], cwd=project, env=server.environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert named()["champion"] == (1 if automatic else 2)
    assert len(server.runs("release")) == asked_before + (not automatic)
    if automatic:
        assert tags(1)["promoted_by"] == "improve (gate.automatic)"
