"""A platform in a folder of its own: its servers, its logins, and questions to them as a person's programs ask."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from fledgling import logins
from flows.local import free_port
from tests.conftest import ROOT
from tests.e2e.workspace import wait_for

COPIED = (
    *("apps", "flows", "tasks", "fledgling", "model", "profiles", "params.yaml", "prefect.yaml", "pyproject.toml"),
    *("rubric.yaml", "champion"),
)
NOT_OURS = ("PREFECT_", "MLFLOW_", "FLEDGLING_")
# one stage that waits until the test lets it go on, and then ends well
STAGES = """
stages:
  wait:
    cmd: touch started; while ! test -e go; do sleep 0.1; done; echo done > made
    outs: [made]
"""
READY_S = 1800.0  # on a machine that is busy with other things
PLATFORM = f"""
from fledgling.platform import services
services.READY_LIMIT_S = {READY_S}
from fledgling.cli import main
main()
"""


def copy_project(folder: Path, *, stages: str = STAGES) -> Path:
    """What the platform needs, with a chain of its own; its state is its own."""
    for name in COPIED:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "dvc.yaml").write_text(stages)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return folder


def free_ports() -> dict[str, str]:
    """A free port for each server."""
    return {f"FLEDGLING_{name}_PORT": str(free_port()) for name in ("START", "PREFECT", "MLFLOW", "REVIEW", "SERVE")}


@dataclass
class Platform:
    """A platform that runs. extra: of the environment that it was started in."""

    folder: Path
    extra: Mapping[str, str]
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "", **self.extra}

    @property
    def lines(self) -> str:
        return (self.folder / "lines.txt").read_text(errors="replace")

    @property
    def logins(self) -> dict[str, str]:
        return logins.kept(self.folder / logins.FILE)

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.extra[f'FLEDGLING_{name.upper()}_PORT']}"

    def start(self) -> None:
        """Returns when it says that it is ready."""
        with (self.folder / "lines.txt").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", PLATFORM, "platform"], cwd=self.folder, env=self.environment, stdout=out,
                stderr=out, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        said = "Ctrl+C stops them"
        wait_for(
            lambda: said in self.lines or process.poll() is not None, limit_s=READY_S, what="the platform", every_s=0.5
        )
        assert said in self.lines, self.lines

    def stop(self, how: signal.Signals = signal.SIGINT, *, limit_s: float = 120) -> int:
        """Its exit code."""
        process = self.started.pop()
        process.send_signal(how)
        return process.wait(limit_s)

    def end(self) -> None:
        """Whatever is left is killed."""
        for process in self.started:
            process.kill()
            process.wait()
        for left in self.processes():
            with suppress(psutil.NoSuchProcess):
                left.kill()

    def processes(self, having: str = "") -> list[psutil.Process]:
        """Those that live in its folder, with something in their command."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder) and having in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def fledgling(self, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "fledgling.cli", *arguments], cwd=self.folder, env={**self.environment, **extra},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def prefect(self, path: str, body: Any = None) -> Any:
        """The answer of the API to a GET, or to a POST where there is a body; asked again where it was busy (503)."""
        user, _, password = self.logins[logins.PREFECT].partition(":")
        name = f"tests-{threading.get_ident()}"  # a new token of the same name ends the one before

        def answer() -> httpx.Response | None:
            with httpx.Client(base_url=f"{self.address('prefect')}/api", auth=(user, password), timeout=30) as client:
                token = client.get("/csrf-token", params={"client": name}).raise_for_status().json()["token"]
                headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": name}
                found = client.get(path) if body is None else client.post(path, json=body, headers=headers)
            return None if found.status_code == 503 else found

        return wait_for(answer, limit_s=60, what=path, every_s=0.5).raise_for_status().json()

    def run(self, deployment: str, **parameters: Any) -> str:
        """Starts a run as its form does; its id."""
        found = self.prefect(f"/deployments/name/{deployment}/{deployment}")
        made = self.prefect(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def wait_until(self, run: str, *states: str, limit_s: float = 300) -> str:
        """Waits until a run is in one of the states; which."""

        def held() -> str | None:
            state = str(self.prefect(f"/flow_runs/{run}")["state_type"])
            return state if state in states else None

        return str(wait_for(held, limit_s=limit_s, what=f"{run} in {states}", every_s=1))


@contextmanager
def platform_in(folder: Path, **extra: str) -> Iterator[Platform]:
    """The folder's platform, ready; all of it is gone at the end."""
    made = Platform(folder, {**free_ports(), **extra})
    try:
        made.start()
        yield made
    finally:
        made.end()
