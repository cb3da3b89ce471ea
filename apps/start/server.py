"""Serves the start page with uvicorn, in this process."""

import contextlib
import os
import socket
import sys
from collections.abc import Mapping

import uvicorn

from apps.review.settings import LOOPBACK, port_of
from apps.start.app import create_app
from tasks.stage import UserError

PORT, DEFAULT_PORT = "FLEDGLING_START_PORT", 8000
HOST, HOSTS = "FLEDGLING_PLATFORM_HOST", "FLEDGLING_PLATFORM_HOSTS"


def serve(environment: Mapping[str, str] = os.environ) -> None:
    """Serves until it is stopped. Raises UserError where the address is taken."""
    host = environment.get(HOST) or LOOPBACK
    port = port_of(environment.get(PORT, ""), name=PORT, default=DEFAULT_PORT)
    names = tuple(name.strip() for name in environment.get(HOSTS, "").split(",") if name.strip())
    with _listening(host, port) as listening:
        config = uvicorn.Config(
            create_app(names), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise UserError(f"{host}:{port}: {os.strerror(error.errno or 0)}; choose another {PORT}") from None


if __name__ == "__main__":
    try:
        serve()
    except UserError as error:
        sys.exit(f"start: {error}")
