"""The chat page and its files, as routes of the server. All else it does in the browser, over the HTTP API."""

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from apps.review import look
from apps.review.protection import HEADERS

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
TEMPLATES = HERE / "templates"
FEELINGS = ("angry", "curious", "jealous", "lonely", "proud", "sad", "scared", "sorry")  # of the built-in mixture

router = APIRouter(include_in_schema=False)


@router.get("/")
def chat() -> Response:
    """The page; the same for everybody, it holds nothing of the model."""
    page = _environment().get_template("chat.html.j2").render(feelings=FEELINGS)
    return HTMLResponse(page, headers={**HEADERS, "Cache-Control": "no-store"})


@router.get("/static/{path:path}")
async def file(path: str, request: Request) -> Response:
    """A file of the page, or one of the review page's that it uses too: its colours, its keys, its bird."""
    response = await _files().get_response(path, request.scope)
    response.headers.update(HEADERS)
    return response


@cache
def _version() -> str:
    return look.version_of(STATIC, TEMPLATES, look.STATIC)


@cache
def _files() -> look.VersionedFiles:
    return look.VersionedFiles(_version(), directory=STATIC, packages=[("apps.review", "static")])


@cache
def _environment() -> Environment:
    return look.environment_of(TEMPLATES, version=_version())
