"""Where the platform's servers listen, and who listens there now."""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tasks.stage import STATE, UserError

HOST = "127.0.0.1"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
RUNNING = STATE / "platform.json"  # who serves here, for `doctor`; gone when nobody does


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the servers listen."""

    start: int
    prefect: int
    mlflow: int
    review: int
    serve: int

    @property
    def prefect_url(self) -> str:
        return f"http://{HOST}:{self.prefect}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow}"

    @property
    def review_url(self) -> str:
        return f"http://{HOST}:{self.review}"

    @property
    def serve_url(self) -> str:
        return f"http://{HOST}:{self.serve}"

    @property
    def start_url(self) -> str:
        return f"http://{HOST}:{self.start}"

    def named(self) -> Mapping[str, tuple[int, str]]:
        """Each server's port and the environment variable that moves it."""
        return {
            "Start": (self.start, "FLEDGLING_START_PORT"),
            "Prefect": (self.prefect, "FLEDGLING_PREFECT_PORT"),
            "MLflow": (self.mlflow, "FLEDGLING_MLFLOW_PORT"),
            "Review": (self.review, "FLEDGLING_REVIEW_PORT"),
            "Serve": (self.serve, "FLEDGLING_SERVE_PORT"),
        }

    def urls(self) -> Mapping[str, str]:
        """Each server's address, by its name."""
        return {name: f"http://{HOST}:{port}" for name, (port, _) in self.named().items()}


def ports() -> Ports:
    """The ports that the environment asks for. Raises UserError where one is no port."""
    return Ports(
        start=_port("FLEDGLING_START_PORT", 8000),
        prefect=_port("FLEDGLING_PREFECT_PORT", 4200),
        mlflow=_port("FLEDGLING_MLFLOW_PORT", 5000),
        review=_port("FLEDGLING_REVIEW_PORT", 8100),
        serve=_port("FLEDGLING_SERVE_PORT", 8200),
    )


def bind() -> str:
    """The address that a server of the platform listens on: this machine's own, or all of a container's."""
    return os.environ.get("FLEDGLING_PLATFORM_HOST") or HOST


def hosts() -> tuple[str, ...]:
    """Further names by which browsers and other services reach the servers. Raises UserError for what is none."""
    said = os.environ.get("FLEDGLING_PLATFORM_HOSTS", "")
    names = tuple(name.strip().lower() for name in said.split(",") if name.strip())
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise UserError(f"FLEDGLING_PLATFORM_HOSTS: {wrong[0]!r} is no host's name; give names with commas, no ports")
    return names


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


def refuse_taken(wanted: Ports) -> None:
    """Raises UserError where a port is in use, or asked for twice."""
    for name, (port, variable) in wanted.named().items():
        if not is_free(port):
            other = running()
            who = f"`fledgling platform` (process {other['pid']})" if other else "another program"
            raise UserError(f"{name}: port {port} is in use by {who}; stop it, or set {variable} to a free port")
    for (port, variable), (other, another) in combinations(wanted.named().values(), 2):
        if port == other:
            raise UserError(f"{variable} and {another} are both {port}; they must differ")
