"""The pipeline on this machine: through a configured Prefect API, or a server for the length of the run."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from flows import process
from tasks.report import read_json
from tasks.stage import STATE, UserError
from tasks.telemetry import OFF

HOME = STATE / "prefect"
START_LIMIT_S = 120  # on a machine that is busy with other things
CLIENT_RETRIES = "8"  # after 2, 4, ... 256 s: a server that is away for eight minutes still learns how a run ended


def run_pipeline(*, force: bool) -> None:
    """Runs the flow `pipeline` with its lines on the terminal. Raises UserError with a stage's own line."""
    import httpx

    _show_lines()
    with _api(), _interrupt_is_heard():
        from prefect.exceptions import PrefectException

        from flows.pipeline import pipeline

        try:
            pipeline(force=force)
        except (PrefectException, httpx.HTTPError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"Prefect: {line}") from error


@contextlib.contextmanager
def _interrupt_is_heard() -> Iterator[None]:
    """SIGINT ends the run: also where a script started it in the background, which begins with the signal ignored, and
    where the exception comes up in a callback of a library that swallows it.
    """
    came = threading.Event()

    def on_interrupt(*_: object) -> None:
        came.set()
        process.end_soon()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    except Exception:
        if came.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if came.is_set():
        raise KeyboardInterrupt


def _show_lines() -> None:
    console = logging.getLogger("fledgling.console")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    console.handlers[:] = [handler]
    console.setLevel(logging.INFO)
    console.propagate = False


@contextlib.contextmanager
def _api() -> Iterator[None]:
    """A Prefect API to talk to: the configured one, the platform's, else a server stopped at the end."""
    os.environ.update(OFF)
    HOME.mkdir(parents=True, exist_ok=True)  # Prefect would not make the folders above it
    os.environ.setdefault("PREFECT_HOME", str(HOME.resolve()))
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", CLIENT_RETRIES)
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # our own lines are enough
    if not os.environ.get("PREFECT_API_URL") and (url := _platforms_api()):
        os.environ["PREFECT_API_URL"] = url
    if url := os.environ.get("PREFECT_API_URL"):
        _refuse_silence(url)
        yield
        return
    port = free_port()
    server = _start_server(port)
    try:
        _wait_until_healthy(port, server)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        yield
    finally:
        _send_last_lines()
        os.environ.pop("PREFECT_API_URL", None)
        process.stop(server)


def _refuse_silence(url: str) -> None:
    """Raises UserError where nothing answers at the configured address."""
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise UserError(
            f"no Prefect server answers at PREFECT_API_URL={url}; start it, or unset the variable for one that lasts "
            "as long as the run (`dvc repro` needs no server)"
        ) from None


def _send_last_lines() -> None:
    """Empties Prefect's queues of log lines and events while there is a server to take them."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        with contextlib.suppress(Exception):  # what is lost is a line in the history, never the run
            worker.drain_all(timeout=10)


def _platforms_api() -> str | None:
    """The Prefect API of `make platform`, where that is running now."""
    import psutil

    platform = read_json(STATE / "platform.json")
    return f"{platform['prefect']}/api" if platform and psutil.pid_exists(platform["pid"]) else None


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_server(port: int) -> "subprocess.Popen[str]":
    with (HOME / "server.log").open("w") as log:
        return process.start(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            extra={"PREFECT_API_URL": "", "PREFECT_SERVER_DATABASE_TIMEOUT": "60"},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


def _wait_until_healthy(port: int, server: "subprocess.Popen[str]") -> None:
    import httpx

    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).is_success:
                return
        time.sleep(0.2)
    log = Path(HOME / "server.log")
    raise UserError(
        f"the local Prefect server did not start within {START_LIMIT_S} s (see {log}); `dvc repro` needs no server"
    )
