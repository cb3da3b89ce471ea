"""A PostgreSQL server of the tests' own: made by initdb in a folder of its own, on a free port of 127.0.0.1."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.conftest import skip_missing

USER = "postgres"


class Server:
    """A running server and its folder. It refuses to run as root: started by root it runs as `postgres`."""

    def __init__(self) -> None:
        self._programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="fledgling-postgresql-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
        self.data = self.folder / "data"
        self.port = _free_port()
        self._end = self._at_the_end()
        self._run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=150"
        self._run("pg_ctl", "-D", self.data, "-w", "-t", 30, "-l", self.folder / "log", "-o", options, "start")

    def kill(self) -> None:
        """kill -9 of the server and of every process of it, as a machine that stops does."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self._accepts():  # the kernel closes the door a moment later
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def remove(self) -> None:
        assert self._end.stdin
        self._end.stdin.close()
        self._end.wait(60)

    def new_database(self) -> str:
        """The address of a new, empty database."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            count = connection.execute("SELECT count(*) FROM pg_database").fetchone()
            name = f"reviews_{count[0] if count else 0}"
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def _at_the_end(self) -> "subprocess.Popen[bytes]":
        """Stops the server and removes its folder once this process is over, killed or not: its pipe ends then."""
        stop = shlex.join(self._command("pg_ctl", "-D", self.data, "-m", "immediate", "stop"))
        script = f"cat; {stop}; rm -rf {shlex.quote(str(self.folder))}"
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            ["sh", "-c", script], cwd="/", stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        )

    def _command(self, program: str, *arguments: object) -> list[str]:
        as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        return [*as_user, str(self._programs / program), *map(str, arguments)]

    def _run(self, program: str, *arguments: object) -> None:
        command = self._command(program, *arguments)
        # into a file: the server would keep a pipe open for as long as it runs
        with (self.folder / "commands").open("ab") as log:
            done = subprocess.run(command, cwd="/", stdout=log, stderr=log, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{program}: {(self.folder / 'commands').read_text()[-2000:]}")


def _programs() -> Path:
    """The folder of PostgreSQL's programs, of which Debian puts only some on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    if not found:
        skip_missing("PostgreSQL")
    return found[-1].parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
