"""Serves with uvicorn, in this process."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence

import uvicorn

from apps.serve.app import application
from apps.serve.metrics import Metrics, Recorded
from apps.serve.service import Service
from apps.serve.settings import PORT, Settings, load_settings
from tasks.cleaning.safety import safety_policy
from tasks.serving import versions
from tasks.serving.fleet import Fleet, Load
from tasks.serving.guard import Guard
from tasks.serving.live import load
from tasks.serving.params import ServeParams
from tasks.serving.record import open_record
from tasks.stage import UserError, load_params

SWITCH_S = 0.0005  # the engine's thread waits for Python's lock after each of torch's calls; 5 ms would be its pace


def serve(
    reference: str, *, beside: Sequence[str] = (), host: str | None = None, port: int | None = None,
    candidate_share: float | None = None,
) -> None:  # fmt: skip
    """Serves until it is stopped. reference, beside: as `versions.find` has it; candidate_share: else the parameter.

    Raises UserError where there is no such model, or its address is taken.
    """
    settings, params = load_settings(host=host, port=port), load_params(ServeParams, "serve")
    if candidate_share is not None:
        params = params.model_copy(update={"candidate_share": candidate_share})
    with _listening(settings) as listening:
        for meant in (reference, *beside):
            versions.find(meant)  # what is wrong with it is said at once
        service = make_service(settings, params, reference=reference, beside=beside)
        print(f"serve: {settings.address}/v1 and the chat page {settings.address} (Ctrl+C ends it)", flush=True)
        run(service, listening)
    if service.failure is not None:
        raise service.failure


def make_service(
    settings: Settings, params: ServeParams, *, reference: str, beside: Sequence[str] = (), load: Load = load
) -> Service:  # fmt: skip
    """All that the routes work with; nothing is loaded yet."""
    fleet, guard = Fleet(params, reference=reference, beside=beside, load=load), Guard(params.guard, safety_policy())
    record = open_record(params.record)
    metrics = Metrics(fleet, guard)
    metrics.registry.register(Recorded(record))
    return Service(settings=settings, params=params, fleet=fleet, guard=guard, metrics=metrics, record=record)


def run(service: Service, listening: socket.socket) -> None:
    """Serves on a socket until a signal, or until nothing could be loaded."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_S)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn_server(service).run(sockets=[listening])


def uvicorn_server(service: Service) -> uvicorn.Server:
    """What serves; it ends by itself where the service says so."""
    config = uvicorn.Config(
        application(service), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=int(service.params.time_limit_s),
    )  # fmt: skip
    server = uvicorn.Server(config)
    service.ends = lambda: setattr(server, "should_exit", True)
    return server


def _listening(settings: Settings) -> socket.socket:
    """The socket. Raises UserError where its address is taken or none of this machine."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"{where}: {os.strerror(error.errno or 0)}; choose another --port or {PORT}") from None
