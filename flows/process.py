"""Processes that the flow starts: their lines as they come, and none left behind however the flow ends."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tasks.telemetry import OFF

# is told a group, waits until this process is gone (its end of the pipe closes), then ends the group
_WATCH = 'read -r group && { read -r _; kill -TERM "-$group"; sleep "$1"; kill -KILL "-$group"; }'
_GRACE_S = 5.0

_LIVE: dict[subprocess.Popen[str], subprocess.Popen[bytes]] = {}  # each with its watcher
_KEPT: list[subprocess.Popen[str]] = []  # what was live before the block of `none_left_behind`
_LOCK = threading.Lock()
_ENDING = threading.Event()  # set while a block of `none_left_behind` is left by an exception: nothing new is run


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: this interpreter's programs first, telemetry off, lines unbuffered."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    return {**os.environ, **OFF, "PATH": path, "PYTHONUNBUFFERED": "1", **(extra or {})}


def start(
    command: Sequence[str], *, extra: Mapping[str, str] | None = None, **options: object
) -> subprocess.Popen[str]:
    """Starts a process in a group of its own that ends with this one, even where this one is killed."""
    watcher = _watcher()
    try:
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            command, text=True, env=environment(extra), start_new_session=True, **options
        )
    except BaseException:
        _dismiss(watcher)
        raise
    _tell(watcher, group=process.pid)
    with _LOCK:
        _LIVE[process] = watcher
    return process


def _watcher() -> subprocess.Popen[bytes]:
    """A shell that outlives this process where it is killed.

    A death signal (PR_SET_PDEATHSIG) would not do: it reaches no child's children, comes when the thread ends that
    started the child, and is asked for between fork and exec, where a process of many threads may hang.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watcher", str(_GRACE_S)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _tell(watcher: subprocess.Popen[bytes], *, group: int) -> None:
    assert watcher.stdin is not None  # asked for above
    watcher.stdin.write(f"{group}\n".encode())
    watcher.stdin.flush()


class TookTooLong(Exception):
    """A command that was ended because its time was over."""


def run(command: Sequence[str], *, on_line: Callable[[str], None], limit_s: float | None = None) -> int:
    """Runs a command to its end, handing on each line of its output (both streams); returns its exit code.

    limit_s: ended after so long, then TookTooLong is raised; None: no limit.
    """
    if _ENDING.is_set():
        return -signal.SIGTERM
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1, errors="replace")
    over = threading.Event()
    clock = threading.Timer(limit_s or 0, lambda: (over.set(), stop(process)))
    clock.daemon = True
    if limit_s is not None:
        clock.start()
    try:
        assert process.stdout is not None  # asked for above
        with process.stdout:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
        code = process.wait()
    finally:
        clock.cancel()
        stop(process)
    if over.is_set():
        raise TookTooLong
    return code


def stop(process: subprocess.Popen[str], *, grace_s: float = _GRACE_S) -> None:
    """Ends a process and its whole group: asked first, killed after `grace_s` seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with _LOCK:
        watcher = _LIVE.pop(process, None)
    if watcher is not None:
        _dismiss(watcher)


def _dismiss(watcher: subprocess.Popen[bytes]) -> None:
    watcher.kill()  # before its pipe closes, which it would act on
    watcher.wait()
    if watcher.stdin is not None:
        watcher.stdin.close()


def stop_all(*, but: Iterable[subprocess.Popen[str]] = ()) -> None:
    """Ends every process that is still live, but some: what a cancelled flow calls."""
    with _LOCK:
        live = tuple(process for process in _LIVE if process not in but)
    for process in live:
        stop(process)


def end_soon() -> None:
    """Ends what the block of `none_left_behind` started, from beside: for a signal's handler, which must not wait."""
    _ENDING.set()
    threading.Thread(target=stop_all, kwargs={"but": _KEPT.copy()}, daemon=True).start()


def ending() -> bool:
    """Whether a block of `none_left_behind` was left by an exception: what ends now was ended, it did not fail."""
    return _ENDING.is_set()


@contextlib.contextmanager
def none_left_behind() -> Iterator[None]:
    """Ends what was started in the block if that is left by any exception: cancelled, crashed, interrupted.

    What was live before is its owner's to end: a server still takes the last lines.
    """
    _ENDING.clear()
    with _LOCK:
        _KEPT[:] = _LIVE
    try:
        yield
    except BaseException:
        _ENDING.set()
        stop_all(but=_KEPT.copy())
        raise
