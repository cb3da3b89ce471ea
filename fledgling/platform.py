"""`fledgling platform`: the servers on this machine, their lines in one terminal, until Ctrl+C."""

import contextlib
import ctypes
import hashlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from flows import process
from tasks.stage import STATE, UserError, write_text

HOST = "127.0.0.1"
POOL = "fledgling"
DEPLOYMENT = "pipeline/pipeline"
RUNNING = STATE / "platform.json"  # who serves here, for `doctor`; gone when nobody does
READY_LIMIT_S = 120  # 20 s on two idle cores, 45 on the first start with both cores busy
STOP_LIMIT_S = 5  # how long a service may take to end when asked
RUN_STOP_LIMIT_S = 8  # and a pipeline run, which ends its stages first and tells the server
WORKER_STOP_LIMIT_S = STOP_LIMIT_S + RUN_STOP_LIMIT_S + 2
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STOPPING = {signal.SIGINT, signal.SIGTERM}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the servers listen, on this machine only."""

    prefect: int
    mlflow: int

    @property
    def prefect_url(self) -> str:
        return f"http://{HOST}:{self.prefect}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow}"

    def named(self) -> Mapping[str, tuple[int, str]]:
        """Each server's port and the environment variable that moves it."""
        return {
            "Prefect": (self.prefect, "FLEDGLING_PREFECT_PORT"),
            "MLflow": (self.mlflow, "FLEDGLING_MLFLOW_PORT"),
        }


def ports() -> Ports:
    """The ports that the environment asks for. Raises UserError where one is no port."""
    return Ports(prefect=_port("FLEDGLING_PREFECT_PORT", 4200), mlflow=_port("FLEDGLING_MLFLOW_PORT", 5000))


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"{variable}={text!r} is not a port; allowed are 1 to 65535 (without it: {default})")
    return int(text)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def running() -> dict[str, Any] | None:
    """The platform that serves this folder now (its process and ports), or None."""
    try:
        found: dict[str, Any] = json.loads(RUNNING.read_text(encoding="utf-8"))
        os.kill(int(found["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return found


def serve(*, check: bool) -> None:
    """Serves until SIGINT or SIGTERM; with `check`, only until everything is ready.

    Raises UserError where a port is in use, a service ends by itself, or is not ready in time.
    """
    wanted = ports()
    _refuse_taken_ports(wanted)
    services = _Services(wanted, check=check)
    for name, command in _commands(wanted).items():
        services.add_process(name, f"exec {shlex.join(command)}", env=_environment(wanted))
    with _noted(wanted):
        services.loop()
    process.stop_all()
    if services.failure is not None:
        raise UserError(services.failure)


def work() -> None:
    """Becomes the Prefect worker as soon as the server answers (a worker without a server gives up)."""
    api = os.environ["PREFECT_API_URL"]
    while not _answers(f"{api}/health"):
        time.sleep(0.3)
    _close_dead_runs(api)
    arguments = ["worker", "start", "--pool", POOL, "--type", "process", "--name", "here"]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])  # noqa: S606


def _close_dead_runs(api: str) -> None:
    """Marks as crashed what ran under an earlier worker: it is dead, and would keep the one slot from the next."""
    found = _post(
        f"{api}/flow_runs/filter",
        {
            "deployments": {"name": {"any_": [DEPLOYMENT.partition("/")[2]]}},
            "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
        },
    )
    for run in found:
        state = {"type": "CRASHED", "name": "Crashed", "message": "The platform was stopped while this ran."}
        _post(f"{api}/flow_runs/{run['id']}/set_state", {"state": state, "force": run["state_type"] == "CANCELLING"})
        sys.stdout.write(f"run {run['name']}: was stopped with the platform, closed as crashed\n")


def _post(url: str, body: Mapping[str, Any]) -> Any:
    """Sends JSON to the Prefect server, with the token that it asks of pages and programs alike."""
    api = url.partition("/api/")[0] + "/api"
    client = f"fledgling-{os.getpid()}"
    token = httpx.get(f"{api}/csrf-token", params={"client": client}, timeout=30).raise_for_status().json()["token"]
    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
    return httpx.post(url, json=body, headers=headers, timeout=30).raise_for_status().json()


def _refuse_taken_ports(wanted: Ports) -> None:
    for name, (port, variable) in wanted.named().items():
        if not is_free(port):
            other = running()
            who = f"`fledgling platform` (process {other['pid']})" if other else "another program"
            raise UserError(f"{name}: port {port} is in use by {who}; stop it, or set {variable} to a free port")
    if wanted.prefect == wanted.mlflow:
        raise UserError(f"FLEDGLING_PREFECT_PORT and FLEDGLING_MLFLOW_PORT are both {wanted.prefect}; they must differ")


def _commands(wanted: Ports) -> dict[str, list[str]]:
    python = sys.executable
    store = STATE / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    own = [f"{name}:{wanted.mlflow}" for name in (HOST, "localhost")]
    return {
        "prefect": [python, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(wanted.prefect)],
        "mlflow": [
            *(python, "-m", "mlflow", "server", "--host", HOST, "--port", str(wanted.mlflow), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"),
            *("--artifacts-destination", str(store / "artifacts")),
            *("--allowed-hosts", ",".join(own)),
            *("--cors-allowed-origins", ",".join(f"http://{host}" for host in own)),
            *("--uvicorn-opts", "--log-level warning"),
        ],
        "worker": [python, "-c", "from fledgling.platform import work; work()"],
    }


def _environment(wanted: Ports) -> dict[str, str]:
    """What every service runs under: state in var/, closed to other hosts and pages, nothing phones home."""
    return process.environment(
        {
            "FLEDGLING_ROOT": str(Path.cwd()),
            "FLEDGLING_DEPLOYMENT": _declaration(),
            "PREFECT_HOME": str((STATE / "prefect").resolve()),
            "PREFECT_API_URL": f"{wanted.prefect_url}/api",
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{wanted.prefect_url},http://localhost:{wanted.prefect}",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite: a service waits for another's writing
            "PREFECT_WORKER_WEBSERVER_HOST": HOST,
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            "PYTHONWARNINGS": "ignore",  # of what the servers' own libraries will drop some day
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # with it: 15 processes, 3 GB
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_ENABLE_AI_GATEWAY": "false",
        }
    )


def _declaration() -> str:
    """Changes where prefect.yaml, the flow's signature or the folder does."""
    digest = hashlib.sha256(str(Path.cwd()).encode())
    for path in (Path("prefect.yaml"), Path("flows/pipeline.py")):
        if not path.exists():
            raise UserError(f"{path}: no such file; run from the project's root")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _noted(wanted: Ports) -> Iterator[None]:
    note = {"pid": os.getpid(), "prefect": wanted.prefect_url, "mlflow": wanted.mlflow_url}
    write_text(RUNNING, json.dumps(note) + "\n")
    try:
        yield
    finally:
        RUNNING.unlink(missing_ok=True)


class _Service(Process):  # type: ignore[misc]
    """Honcho's process, which moreover ends with the manager: even where that is killed."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl+C is the manager's; SIG_IGN the service would inherit
        signal.signal(signal.SIGTERM, self._end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        if sys.platform == "linux":
            libc = ctypes.CDLL(None)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the service leaves behind becomes a child of this process
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


class _Services(Manager):  # type: ignore[misc]
    """Honcho's manager, which moreover says when everything is ready, and why it stopped."""

    def __init__(self, wanted: Ports, *, check: bool) -> None:
        super().__init__(_Lines(sys.stdout))
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
        waited = time.monotonic() - self._asked_at if self._terminating else 0.0
        gone = "returncode" in self._processes["worker"]
        if self._terminating and not self._servers_asked and (gone or waited > WORKER_STOP_LIMIT_S):
            self._servers_asked = True
            self._killall()
        stopped: bool = super()._all_stopped()
        return stopped

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
            for what in _readiness(self._ports, tell=self._tell):
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
        self._tell(f"Prefect {self._ports.prefect_url}  MLflow {self._ports.mlflow_url}")
        if self._check:
            self._tell(f"all ready after {time.monotonic() - started:.0f} s")
            self._stop()
        else:
            self._tell("Ctrl+C stops both")

    def _stop(self) -> None:
        time.sleep(0.5)  # until what was told is printed
        os.kill(os.getpid(), signal.SIGTERM)  # honcho stops in the main thread only

    def _tell(self, line: str) -> None:
        now = self._clock.now()
        self.events.put(Message(type="line", data=f"{line}\n", time=now, name="platform", colour=None))


def _readiness(wanted: Ports, *, tell: Any) -> Iterator[Any]:
    """What must hold, one thing after the other, until everything is ready."""
    api = f"{wanted.prefect_url}/api"
    yield lambda: _answers(f"{api}/health")
    yield lambda: _answers(f"{api}/work_pools/{POOL}")  # made by the worker
    if not _is_deployed(api):
        _deploy(wanted, tell=tell)
    yield lambda: _is_deployed(api)
    yield lambda: _has_worker(api)
    yield lambda: _answers(f"{wanted.mlflow_url}/health")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _has_worker(api: str) -> bool:
    try:
        answer = httpx.get(f"{api}/work_pools/{POOL}", timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("status") == "READY"


def _is_deployed(api: str) -> bool:
    try:
        answer = httpx.get(f"{api}/deployments/name/{DEPLOYMENT}", timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("version") == _declaration()


def _deploy(wanted: Ports, *, tell: Any) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    pipe = subprocess.PIPE
    deploying = process.start(command, extra=_environment(wanted), stdout=pipe, stderr=subprocess.STDOUT)
    output, _ = deploying.communicate()
    if deploying.returncode != 0:
        for line in filter(str.strip, output.splitlines()):
            tell(line)
        raise UserError("prefect.yaml could not be deployed; the lines above say why")
    tell(f"deployed {DEPLOYMENT}")
