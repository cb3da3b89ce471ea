"""Where the platform's servers listen, and who listens there now."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tasks.registry import store
from tasks.stage import STATE, UserError

HOST = "127.0.0.1"
RUNNING = STATE / "platform.json"  # who serves here, for `doctor`; gone when nobody does


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the servers listen, on this machine only. serve: None where there is no champion to serve."""

    prefect: int
    mlflow: int
    review: int
    serve: int | None

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
    def serve_url(self) -> str | None:
        return None if self.serve is None else f"http://{HOST}:{self.serve}"

    def named(self) -> Mapping[str, tuple[int, str]]:
        """Each server's port and the environment variable that moves it."""
        serve = {} if self.serve is None else {"Serve": (self.serve, "FLEDGLING_SERVE_PORT")}
        return {
            "Prefect": (self.prefect, "FLEDGLING_PREFECT_PORT"),
            "MLflow": (self.mlflow, "FLEDGLING_MLFLOW_PORT"),
            "Review": (self.review, "FLEDGLING_REVIEW_PORT"),
            **serve,
        }

    def urls(self) -> Mapping[str, str]:
        """Each server's address, by its name."""
        return {name: f"http://{HOST}:{port}" for name, (port, _) in self.named().items()}


def ports() -> Ports:
    """The ports that the environment asks for. Raises UserError where one is no port."""
    return Ports(
        prefect=_port("FLEDGLING_PREFECT_PORT", 4200),
        mlflow=_port("FLEDGLING_MLFLOW_PORT", 5000),
        review=_port("FLEDGLING_REVIEW_PORT", 8100),
        serve=_port("FLEDGLING_SERVE_PORT", 8200) if store.has_champion() else None,
    )


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
