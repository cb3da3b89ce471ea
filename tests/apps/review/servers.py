"""The page's server as a process that is killed and started anew, many times in a test."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from tasks.telemetry import OFF
from tests.apps.review.filled import ROOT, START_S, Served

# imports once; for each line (JSON) it serves in a new process, whose number it tells
FORKING = """
import json, os, signal, sys
from apps.review import server
from tasks.reviews import database, served
served.prepare()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    wanted = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(wanted["folder"])
        os.environ.update(wanted["environment"])
        database.WAIT_S = wanted["wait_s"]
        sys.exit(server.serve())
    print(child, flush=True)
"""
WAIT_S = 10  # that the page waits for a lock, as it does in earnest
GONE_S = 20


def over(served: Served, address: str) -> Served:
    """The same page over another database."""
    return replace(served, environment={**served.environment, "FLEDGLING_REVIEW_DATABASE": address})


class PageServer:
    """A process that has all imports done and makes processes that serve, each within a moment."""

    def __init__(self, folder: Path) -> None:
        self.log_file = folder / "server.log"
        own = ("FLEDGLING_", "PREFECT_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**inherited, **OFF, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def serve(self, served: Served, *, wait_s: int) -> psutil.Process:
        """A new process that serves, or will in a moment."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"folder": str(served.folder), "environment": dict(served.environment), "wait_s": wait_s}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        while not (told := self._process.stdout.readline()).strip().isdecimal():  # a page says where it is
            assert told, self.log_file.read_text()
        return psutil.Process(int(told))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    server = PageServer(tmp_path_factory.mktemp("server"))
    yield server
    server.end()


class Page:
    """A served page. kills: how often its process was killed."""

    def __init__(self, server: PageServer, served: Served, *, wait_s: int) -> None:
        self.served = served
        self.kills = 0
        self._server = server
        self._wait_s = wait_s
        self.start()

    def start(self) -> None:
        """Returns when the page answers."""
        self.process = self._server.serve(self.served, wait_s=self._wait_s)
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at and self.process.is_running():
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.served.address}/healthz").is_success:
                    return
            time.sleep(0.02)
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.kill()
        raise AssertionError(self._server.log_file.read_text())

    def kill(self) -> None:
        """kill -9, whatever it is just doing."""
        self.process.kill()
        self.process.wait(GONE_S)
        self.kills += 1


@contextlib.contextmanager
def running(server: PageServer, served: Served, *, wait_s: int = WAIT_S) -> Iterator[Page]:
    """The page, from its first answer to the end of its process."""
    page = Page(server, served, wait_s=wait_s)
    try:
        yield page
    finally:
        if page.process.is_running():
            page.kill()
