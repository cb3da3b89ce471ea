"""The rows of the server, on a tiny model: they measure what they say, whatever it is here."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import serving
from benchmarks.served_model import Server
from tests.apps.serve.running import running, write_model
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    changes = {"ROUNDS": 1, "STREAMS": 3, "STREAM_TOKENS": 8, "UNDER_LOAD": 6, "PER_S": 50.0, "LOAD_ROUNDS": 1}
    for name, value in {**changes, "REPLY_TOKENS": 40, "WORDS": (3, 6), "REQUESTS": 40, "FIRST_REQUESTS": 10}.items():
        monkeypatch.setattr(serving, name, value)


@contextlib.contextmanager
def in_this_process(folder: Path, **changes: Any) -> Iterator[Server]:
    """A real server, without a process of its own."""
    guard = {"guard": {**changes["guard"], "retries": 1}} if "guard" in changes else {}
    with running(str(folder), **guard) as made:
        yield Server(made.service.settings.port, cast("subprocess.Popen[str]", type("Own", (), {"pid": os.getpid()})))


def test_memory_is_of_a_process_whose_clients_left(folder: Path) -> None:
    row = serving.serve_memory_1000_requests(folder)
    assert min(row.value, row.peer_value) > 20  # MiB: it is a Python
    left, rest = row.note.split(" ", 1)
    assert rest == "of 40 clients left mid-stream; 32 of 32 slots free"
    assert 0 <= int(left) <= 4  # one may have read all of its reply before it can go


def test_the_engine_and_the_server_make_the_same_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "serving", in_this_process)
    each = serving.serve_http_share_of_engine(folder)
    assert min(each.value, each.peer_value) > 0
    tokens, events = (int(word) for word in each.note.split() if word.isdecimal())
    assert 0 < tokens <= 24
    assert events > 6  # an event a token, not one a reply


def test_the_first_token_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "serving", in_this_process)
    row = serving.serve_first_token_p95(folder)
    assert 0 < row.value < 30_000
    assert row.note.startswith("p50 ")
