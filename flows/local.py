"""The pipeline on this machine: through a configured Prefect API, or a server for the length of the run."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from flows import process
from tasks.stage import STATE, UserError
from tasks.telemetry import OFF

HOME = STATE / "prefect"
START_LIMIT_S = 30


def run_pipeline(*, profile: str | None, force: bool) -> None:
    """Runs the flow `pipeline` with its lines on the terminal. Raises UserError with a stage's own line."""
    _show_lines()
    with _api():
        from prefect.exceptions import PrefectException

        from flows.pipeline import StageFailed, pipeline

        try:
            pipeline(profile=profile, force=force)  # type: ignore[arg-type]  # Prefect checks it
        except StageFailed as error:
            raise UserError(str(error)) from None
        except PrefectException as error:
            raise UserError(f"Prefect: {str(error).splitlines()[0]}") from error


def _show_lines() -> None:
    console = logging.getLogger("fledgling.console")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    console.handlers[:] = [handler]
    console.setLevel(logging.INFO)
    console.propagate = False


@contextlib.contextmanager
def _api() -> Iterator[None]:
    """A Prefect API to talk to: the configured one, else a server of our own, stopped at the end."""
    os.environ.update(OFF)
    os.environ.setdefault("PREFECT_HOME", str(HOME.resolve()))
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # our own lines are enough
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    port = free_port()
    server = _start_server(port)
    try:
        _wait_until_healthy(port, server)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        process.stop(server)


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_server(port: int) -> "subprocess.Popen[str]":
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "server.log").open("w") as log:
        return process.start(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            extra={"PREFECT_API_URL": ""},
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
