"""`fledgling chat`: with a server, with a model of this machine, and in a real terminal."""

import codecs
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fledgling.chat.talk import printable
from fledgling.cli import app
from tasks.chat import write_generation_config
from tests.apps.serve.spoken import STORY, Spoken, served
from tests.conftest import refused
from tests.fledgling.test_generate import make_model

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    with served(Spoken()) as running:
        yield running


def said(*lines: str, options: tuple[str, ...]) -> Result:
    """What comes of lines on standard input."""
    return CliRunner().invoke(
        app, ["chat", *options], input="".join(f"{line}\n" for line in lines), catch_exceptions=False
    )


def with_server(spoken: Spoken, *lines: str, options: tuple[str, ...] = ()) -> Result:
    return said(*lines, options=("--server", spoken.address, *options))


@pytest.mark.server
def test_answers_alone_are_on_standard_output(spoken: Spoken) -> None:
    result = with_server(spoken, "Tell of an owl.", "/help", "", "/nothing")
    assert result.stdout == f"{STORY}\n"
    assert "/retry" in result.stderr
    assert "/nothing is unknown; allowed: /system, /retry" in result.stderr


@pytest.mark.server
def test_a_conversation_is_kept_tried_again_and_begun_anew(spoken: Spoken) -> None:
    spoken.answer = lambda body: " ".join(message["content"] for message in body["messages"]).upper()
    lines = ("/system s", "one", "two", "/retry", "/new", "/retry", "/system", "three", "/quit", "four")
    result = with_server(spoken, *lines, options=("--seed", "5", "--max-tokens", "9", "--temperature", "0"))
    assert result.stdout.split("\n")[:-1] == ["S ONE", "S ONE S ONE TWO", "S ONE S ONE TWO", "THREE"]
    assert [body["seed"] for body in spoken.asked] == [5, 5, 6, 5]  # the same question again is another answer
    assert {(body["max_tokens"], body["temperature"], body["model"]) for body in spoken.asked} == {
        (9, 0, "fledgling/3")
    }
    assert len({headers["x-conversation-id"] for headers in spoken.headers}) == 1
    assert "there is nothing to try again" in result.stderr


@pytest.mark.server
def test_what_a_server_refuses_is_one_line_and_the_talk_goes_on(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEDGLING_SERVE_KEYS", "sesame-sesame-sesame,another")
    spoken.answer = lambda body: str(1 / (len(spoken.asked) - 1))  # the first one fails
    result = with_server(spoken, "one", "two")
    assert result.exit_code == 0
    assert "1.0" in result.stdout
    assert spoken.headers[0]["authorization"] == "Bearer sesame-sesame-sesame"


@pytest.mark.server
def test_a_server_that_is_none_is_told_in_one_line(spoken: Spoken) -> None:
    with refused("serves no fledgling/9; allowed: fledgling/3, fledgling/2"):
        with_server(spoken, options=("--model", "fledgling/9"))
    spoken.refusal = (401, "which key?", "invalid_api_key")
    with refused("which key?"):
        with_server(spoken)
    with refused("http://127.0.0.1:9: Connection error"):
        said(options=("--server", "http://127.0.0.1:9/v1"))
    with refused("--server localhost: allowed: an address"):
        said(options=("--server", "localhost"))


def test_a_model_of_the_workspace_answers(workspace: Path) -> None:
    folder = make_model(workspace / "models" / "aligned")
    shutil.copy(ROOT / "params.yaml", workspace)
    result = said("hi", options=())
    assert "aligned was not taught to reply" in result.stderr
    write_generation_config(folder)
    options = ("--seed", "3", "--temperature", "1.5", "--max-tokens", "4")
    first = said("hi", "/new", "hi", "/retry", "x" * 40, options=options)
    one, again, another = first.stdout.split("\n")[:3]
    assert one == again != another
    assert "the context is 32 tokens" in first.stderr
    assert said("hi", options=options).stdout.split("\n")[0] == one


def test_a_folder_without_a_model_is_told(workspace: Path) -> None:
    shutil.copy(ROOT / "params.yaml", workspace)
    with refused("there is no model yet"):
        said("hi", options=())
    with refused("nowhere/: no such folder|nowhere: no such folder"):
        said("hi", options=("--model", "nowhere/"))


@pytest.mark.server
def test_ctrl_c_stops_the_answer_and_not_the_talk(spoken: Spoken) -> None:
    spoken.pause_s = 0.1
    with Terminal("chat", "--server", spoken.address) as terminal:
        terminal.until("›")
        terminal.type("Tell of an owl.\n")
        terminal.until("Once there")
        terminal.type("\x03")
        terminal.until("(stopped)")
        spoken.pause_s = 0
        terminal.type("And then?\n")
        terminal.until("for a long time.")
        terminal.until("›")
        terminal.type("\x04")
        assert terminal.process.wait(WAIT_S) == 0
    assert spoken.left == 1
    asked, stopped, _ = spoken.asked[1]["messages"]
    assert asked["content"] == "Tell of an owl."
    assert STORY.startswith(stopped["content"])


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._own, other = pty.openpty()
        self._read = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a terminal may give half a character
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fledgling.cli", *arguments], stdin=other, stdout=other, stderr=other,
            start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(other)

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def until(self, text: str) -> None:
        """Reads on until the text has come."""
        give_up_at = time.monotonic() + WAIT_S
        while text not in self._read:
            ready, _, _ = select.select([self._own], [], [], max(0.0, give_up_at - time.monotonic()))
            assert ready, f"{text!r} did not come; instead: {self._read!r}"
            self._read += self._decoder.decode(os.read(self._own, 4096))
        self._read = self._read.partition(text)[2]

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._own)


def _take_terminal() -> None:
    """Has Ctrl+C in the terminal reach the command, also where what started the tests ignores it."""
    import fcntl
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_nothing_steers_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\r\n\tc\x9b2J\u202ed\u2066e ö ☃") == "a[31mb\n\tc2Jde ö ☃"
