"""Processes that the flow starts: real ones, and really gone."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows import process
from tests.conftest import ROOT

# a child that has a child, which is deaf to SIGTERM; both pids are told
FAMILY = "(trap '' TERM; exec sleep 300) & echo $$ $!; wait"


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 15) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def start_family() -> tuple["subprocess.Popen[str]", list[int]]:
    started = process.start(["bash", "-c", FAMILY], stdout=subprocess.PIPE)
    assert started.stdout is not None
    pids = [int(pid) for pid in started.stdout.readline().split()]
    started.stdout.close()
    return started, pids


def test_lines_of_both_streams_come_as_they_are_written_and_the_exit_code_too() -> None:
    seen: list[tuple[str, float]] = []
    script = "import sys, time; print('one'); time.sleep(.5); print('two', file=sys.stderr); sys.exit(3)"
    code = process.run([sys.executable, "-c", script], on_line=lambda line: seen.append((line, time.monotonic())))
    assert code == 3
    assert [line for line, _ in seen] == ["one", "two"]
    assert seen[1][1] - seen[0][1] > 0.3


def test_what_takes_too_long_is_ended_with_its_children() -> None:
    seen: list[str] = []
    with pytest.raises(process.TookTooLong):
        process.run(["bash", "-c", "sleep 300 & echo $$ $!; wait"], on_line=seen.append, limit_s=1)
    pids = [int(pid) for pid in seen[0].split()]
    assert len(pids) == 2
    assert wait_for(lambda: all(map(is_gone, pids)))


def test_what_is_in_time_is_not_ended() -> None:
    assert process.run(["true"], on_line=print, limit_s=60) == 0


def test_output_that_is_no_text_is_no_error() -> None:
    seen: list[str] = []
    assert process.run(["printf", r"caf\xe9\n"], on_line=seen.append) == 0
    assert seen == ["caf\ufffd"]


def test_the_child_of_a_child_is_ended_too() -> None:
    started, pids = start_family()
    assert len(pids) == 2
    process.stop(started, grace_s=0.3)
    assert wait_for(lambda: all(map(is_gone, pids)))


def test_leaving_the_block_by_any_exception_ends_all() -> None:
    families = []
    with pytest.raises(KeyboardInterrupt), process.none_left_behind():  # noqa: PT012 - the block is the point
        families += [start_family(), start_family()]
        raise KeyboardInterrupt
    assert wait_for(lambda: all(is_gone(pid) for _, pids in families for pid in pids))


def test_what_has_ended_is_no_longer_live() -> None:
    process.run(["true"], on_line=print)
    process.stop_all()  # nothing to end, and the pid may be somebody else's by now
    assert not process._LIVE


@pytest.mark.parametrize("deaf", [False, True])
def test_kill_9_of_the_parent_ends_the_whole_group(tmp_path: Path, deaf: bool) -> None:
    family = FAMILY if deaf else "sleep 300 & echo $$ $!; wait"
    script = (
        "from flows import process; process._GRACE_S = 0.3; "
        f"process.run(['bash', '-c', {family!r}], on_line=lambda l: print(l, flush=True))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    gone = wait_for(lambda: all(map(is_gone, pids)))
    for pid in pids:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
    assert gone


def test_a_program_that_is_not_there_leaves_no_watcher() -> None:
    before = psutil.Process().children()
    with pytest.raises(FileNotFoundError):
        process.start(["no-such-program-at-all"])
    assert psutil.Process().children() == before


def test_a_child_outlives_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[str]] = []
    thread = threading.Thread(target=lambda: started.append(process.start(["sleep", "300"])))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].poll() is None
    process.stop(started[0])


def test_a_child_finds_this_interpreters_programs_and_telemetry_off() -> None:
    environment = process.environment({"EXTRA": "1"})
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert environment["DO_NOT_TRACK"] == "true"
    assert environment["EXTRA"] == "1"
