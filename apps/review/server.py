"""Serves the page with uvicorn, in this process."""

import contextlib
import os
import socket
import sys
import webbrowser
from pathlib import Path

import uvicorn

from apps.review.access import Gate
from apps.review.app import create_app
from apps.review.service import now
from apps.review.settings import PORT, Settings, load_settings
from tasks.judging.rubric import load_rubric
from tasks.reviews import reviewers
from tasks.reviews.database import Database, open_database
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import Reviewer
from tasks.stage import UserError, load_params

RUBRIC = Path("rubric.yaml")
OWNER = "owner"


def serve(host: str | None = None, port: int | None = None, *, open_browser: bool = False) -> None:
    """Serves until it is stopped; prints the owner's link first. host, port: without them the environment's."""
    settings = load_settings(host=host, port=port)
    params, rubric = load_params(ReviewParams, "review"), load_rubric(RUBRIC)
    with _listening(settings) as listening, open_database() as database:
        link = owner_link(settings, database)
        print(f"review: {settings.address} (Ctrl+C ends it)\nthe owner's way in: {link}", flush=True)
        if open_browser:
            webbrowser.open(link)
        config = uvicorn.Config(
            create_app(settings, database, params, rubric), log_level="warning", access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listening(settings: Settings) -> socket.socket:
    """The socket, before anything else is done. Raises UserError where its address is taken or none of this machine."""
    host, port = settings.host.strip("[]"), settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise UserError(f"{host}:{port}: {os.strerror(error.errno or 0)}; choose another --port or {PORT}") from None


def owner_link(settings: Settings, database: Database) -> str:
    """An invite link of the owner, who is made where there is none."""
    with database.session() as session:
        owner = session.query(Reviewer).filter_by(role="owner", is_active=True).order_by(Reviewer.id).first()
        return Gate(settings).invite_link(owner or reviewers.add(session, OWNER, "owner", now()))


if __name__ == "__main__":
    try:
        serve(sys.argv[1] if sys.argv[1:] else None)
    except UserError as error:
        sys.exit(f"review: {error}")
