"""Serves the page with uvicorn, in this process."""

import webbrowser
from pathlib import Path

import uvicorn

from apps.review.access import Gate
from apps.review.app import create_app
from apps.review.service import now
from apps.review.settings import Settings, load_settings
from tasks.judging.rubric import load_rubric
from tasks.reviews import reviewers
from tasks.reviews.database import Database, open_database
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import Reviewer
from tasks.stage import load_params

RUBRIC = Path("rubric.yaml")
OWNER = "owner"


def serve(host: str | None = None, port: int | None = None, *, open_browser: bool = False) -> None:
    """Serves until it is stopped; prints the owner's link first. host, port: without them the environment's."""
    settings = load_settings(host=host, port=port)
    params, rubric = load_params(ReviewParams, "review"), load_rubric(RUBRIC)
    database = open_database()
    link = owner_link(settings, database)
    print(f"review: {settings.address} (Ctrl+C ends it)\nthe owner's way in: {link}", flush=True)
    if open_browser:
        webbrowser.open(link)
    uvicorn.run(
        create_app(settings, database, params, rubric), host=settings.host, port=settings.port, log_level="warning",
        access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
    )  # fmt: skip


def owner_link(settings: Settings, database: Database) -> str:
    """An invite link of the owner, who is made where there is none."""
    with database.session() as session:
        owner = session.query(Reviewer).filter_by(role="owner", is_active=True).order_by(Reviewer.id).first()
        return Gate(settings).invite_link(owner or reviewers.add(session, OWNER, "owner", now()))
