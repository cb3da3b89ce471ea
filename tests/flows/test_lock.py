"""One run at a time in a folder: real processes, one of them killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.lock import HOLDER, one_run
from tests.conftest import ROOT
from tests.e2e.workspace import wait_for

HOLDS = """
import sys, time
from flows.lock import one_run
with one_run("pipeline run 'first'", tell=print):
    print("holds", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(workspace: Path) -> "subprocess.Popen[str]":
    """A process that holds the folder."""
    started = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert started.stdout is not None
    with started.stdout:
        assert started.stdout.readline() == "holds\n"
    return started


def test_a_second_run_waits_and_says_once_for_whom(holder: "subprocess.Popen[str]") -> None:
    told: list[str] = []

    def kill(line: str) -> None:
        told.append(line)
        holder.send_signal(signal.SIGKILL)

    with one_run("improve run 'second'", tell=kill):
        assert HOLDER.read_text() == f"improve run 'second' (process {os.getpid()})\n"
    assert holder.wait(10) == -signal.SIGKILL
    assert told == [f"waiting for pipeline run 'first' (process {holder.pid}): one run at a time in this folder"]


def test_a_run_that_failed_leaves_the_folder_free(workspace: Path) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="a stage"), one_run("first", tell=told.append):
        raise ValueError("a stage")
    second = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        assert second.stdout is not None
        with second.stdout:
            assert wait_for(second.stdout.readline, limit_s=20, what="its first line") == "holds\n"
    finally:
        second.kill()
        second.wait()
    assert told == []
