"""The services as processes of honcho's: their lines in one terminal, all of them ended together."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from fledgling.platform.addresses import Ports
from fledgling.platform.readiness import conditions
from flows import process
from tasks.stage import UserError, end_with_parent

READY_LIMIT_S = 600  # some 30 s on two idle cores; 190 at the lowest priority under a load of 16
STOP_LIMIT_S = 5  # how long a service may take to end when asked
RUN_STOP_LIMIT_S = 8  # and a pipeline run, which ends its stages first and tells the server
WORKER_STOP_LIMIT_S = STOP_LIMIT_S + RUN_STOP_LIMIT_S + 2
MESSAGE_LIMIT_S = 1  # until the message of an end has come
_PR_SET_CHILD_SUBREAPER = 36
_STOPPING = {signal.SIGINT, signal.SIGTERM}


class _Service(Process):  # type: ignore[misc]
    """Honcho's process, which moreover ends with the manager: even where that is killed."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl+C is the manager's; SIG_IGN the service would inherit
        signal.signal(signal.SIGTERM, self._end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        end_with_parent()
        _adopt_what_is_left()
        super().run(events, ignore_signals=False)

    def _send_message(self, data: Any, type: str = "line") -> None:
        if type == "stop":
            _end_children()  # Prefect's worker starts each run in a session of its own, and leaves it
        super()._send_message(data, type=type)

    def _end(self, number: int, frame: Any) -> None:
        if self._child is not None:
            process.stop(self._child, grace_s=STOP_LIMIT_S)
        _end_children()
        os._exit(1)


def _adopt_what_is_left() -> None:
    """What the service leaves behind becomes a child of this process, which ends it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_children() -> None:
    """Ends all that this process is the parent of, at any depth: asked first, killed after a while."""
    import psutil

    for grace_s in (RUN_STOP_LIMIT_S, 0):
        left = psutil.Process().children(recursive=True)
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate() if grace_s else child.kill()
        psutil.wait_procs(left, timeout=grace_s or 1)


class _Lines(Printer):  # type: ignore[misc]
    """Honcho's printer, which shows no lines of services that are being stopped (they miss each other)."""

    stopping = False

    def write(self, message: Message) -> None:
        if not self.stopping or message.name in ("system", "platform"):
            super().write(message)


class Services(Manager):  # type: ignore[misc]
    """Honcho's manager, which moreover says when everything is ready, and why it stopped."""

    def __init__(self, wanted: Ports, *, check: bool, greeting: Sequence[str]) -> None:
        super().__init__(_Lines(sys.stdout))
        self._greeting = greeting
        self.failure: str | None = None
        self._ports = wanted
        self._check = check
        self._asked_at = 0.0
        self._servers_asked = False
        self._process_ctor = _Service

    def _start(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # honcho can't stop what has not started yet
        super()._start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _all_started(self) -> bool:
        started: bool = super()._all_started()
        if started:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        return started

    def terminate(self) -> None:
        """Asks the worker to end, while it still has a server to tell; the servers are asked after it."""
        if self._terminating:
            return
        self._terminating = True
        if self.returncode not in (130, 143):
            self.failure = self.failure or self._who_ended()
        self._printer.stopping = True
        self._asked_at = time.monotonic()
        worker = self._processes["worker"]
        if "returncode" not in worker:
            self._procmgr.terminate(worker["pid"])

    def _all_stopped(self) -> bool:
        self._notice_the_dead()
        waited = time.monotonic() - self._asked_at if self._terminating else 0.0
        gone = "returncode" in self._processes["worker"]
        if self._terminating and not self._servers_asked and (gone or waited > WORKER_STOP_LIMIT_S):
            self._servers_asked = True
            self._killall()
        stopped: bool = super()._all_stopped()
        return stopped

    def _notice_the_dead(self) -> None:
        """A service that was ended from outside (SIGTERM to the whole group, kill -9) sends no message of its end."""
        for found in self._processes.values():
            if "returncode" in found or found["process"].is_alive():
                continue
            gone_at = found.setdefault("gone_at", time.monotonic())
            if time.monotonic() - gone_at > MESSAGE_LIMIT_S:
                found["returncode"] = found["process"].exitcode

    def _system_print(self, data: str) -> None:
        if "sending SIGTERM" not in data:
            super()._system_print(data)

    def _who_ended(self) -> str:
        ended = [(name, found["returncode"]) for name, found in self._processes.items() if "returncode" in found]
        name, code = ended[0] if ended else ("a service", "unknown")
        return f"{name} ended by itself (exit code {code}), its lines are above; the others were stopped"

    def _watch(self) -> None:
        started = time.monotonic()
        try:
            for what in conditions(self._ports, tell=self._tell):
                while not self._terminating and not what():
                    if time.monotonic() - started > READY_LIMIT_S:
                        raise UserError(f"not ready within {READY_LIMIT_S} s; the lines above say why")
                    time.sleep(0.3)
        except UserError as error:
            self.failure = str(error)
            self._stop()
            return
        if self._terminating:
            return
        self._tell("  ".join(f"{name} {url}" for name, url in self._ports.urls().items()))
        for line in self._greeting:
            self._tell(line)
        if self._check:
            self._tell(f"all ready after {time.monotonic() - started:.0f} s")
            self._stop()
        else:
            self._tell("Ctrl+C stops them")

    def _stop(self) -> None:
        time.sleep(0.5)  # until what was told is printed
        os.kill(os.getpid(), signal.SIGTERM)  # honcho stops in the main thread only

    def _tell(self, line: str) -> None:
        now = self._clock.now()
        self.events.put(Message(type="line", data=f"{line}\n", time=now, name="platform", colour=None))
