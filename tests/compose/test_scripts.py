"""What containers run besides `fledgling`: the health of a page, and the bucket as DVC's remote."""

import http.server
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answering import in_a_thread
from tests.conftest import ROOT


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    """A server that is well at /health alone."""
    with in_a_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(("path", "code"), [("/health", 0), ("/ready", 1)])
def test_healthy_is_what_answers_well(page: str, path: str, code: int) -> None:
    command = [sys.executable, ROOT / "compose/healthy.py", page + path]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, b"")


def test_what_does_not_listen_is_not_healthy() -> None:
    command = [sys.executable, ROOT / "compose/healthy.py", "http://127.0.0.1:1/health"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"")


def s3(**said: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, "PATH": path, **said}
    return subprocess.run(
        ["bash", ROOT / "compose/s3.sh"], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_without_settings_it_says_which(workspace: Path) -> None:
    done = s3(FLEDGLING_DVC_REMOTE="")
    assert done.returncode == 1
    assert "cp compose/s3.env.example .env.s3" in done.stderr


def test_a_bucket_becomes_dvcs_remote_and_its_key_is_not_written_down(workspace: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True, timeout=300)
    said = {"FLEDGLING_DVC_REMOTE": "s3://fledgling/dvc", "AWS_ENDPOINT_URL": "http://192.0.2.10:9000"}
    for _ in range(2):  # asked again it changes nothing
        done = s3(**said, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="canary-4711")
        assert done.returncode == 0, done.stderr
        assert "no dvc.lock yet" in done.stdout
    config = (workspace / ".dvc/config.local").read_text()
    assert "url = s3://fledgling/dvc" in config
    assert "endpointurl = http://192.0.2.10:9000" in config
    assert "remote = s3" in config
    assert "canary" not in config
