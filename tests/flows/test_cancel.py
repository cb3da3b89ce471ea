"""A run of the deployment `pipeline` that is cancelled on its page: no process left, and the next run goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.e2e.workspace import wait_for
from tests.flows.served import Server, copy_project, served

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

# the first time it waits, beside a child of its own; afterwards it ends
STAGES = """
stages:
  first:
    cmd: python -c "import pathlib; pathlib.Path('one').write_text('1')"
    outs: [one]
  wait:
    cmd: python wait.py
    deps: [one]
    outs: [two]
    meta: {retries: 3}
"""
WAIT = """
import pathlib, subprocess, sys
if not pathlib.Path("go-on").exists():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("started").touch()
    child.wait()
pathlib.Path("two").write_text("2")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = copy_project(tmp_path_factory.mktemp("project"))
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "wait.py").write_text(WAIT)
    (folder / "var" / "prefect").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    with served(folder) as found:
        yield found


def of_the_chain(folder: Path) -> list[list[str]]:
    """The command lines of DVC, the stage and the stage's child that live in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if process.cwd() == str(folder) and {"dvc", "wait.py", "import time; time.sleep(600)"} & set(line):
                found.append(line)
        except psutil.Error:
            continue
    return found


def test_cancelled_it_leaves_no_process_and_the_next_run_goes_on(server: Server) -> None:
    run = server.run("pipeline", registered=False)
    wait_for((server.folder / "started").exists, limit_s=240, what="the stage waits", every_s=0.2)
    assert len(of_the_chain(server.folder)) >= 3

    server.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})  # the page's button

    wait_for(lambda: not of_the_chain(server.folder), limit_s=120, what="no process of the chain", every_s=0.2)
    assert server.wait_until(run, limit_s=120) == "CANCELLED"
    assert not (server.folder / "two").exists()

    (server.folder / "go-on").touch()
    again = server.run("pipeline", registered=False)
    assert server.wait_until(again, limit_s=300) == "COMPLETED"
    ran = server.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [again]}}})
    assert [task["name"] for task in ran] == ["wait"]  # the other is made
    assert (server.folder / "two").read_text() == "2"
    assert of_the_chain(server.folder) == []
