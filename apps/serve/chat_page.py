"""The chat page and its files, as routes of the server. All else it does in the browser, over the HTTP API."""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from apps.review import look
from apps.review.protection import HEADERS

PAGE = look.PageBeside(Path(__file__).resolve().parent)
FEELINGS = ("angry", "curious", "jealous", "lonely", "proud", "sad", "scared", "sorry")  # of the built-in mixture

router = APIRouter(include_in_schema=False)


@router.get("/")
def chat() -> Response:
    """The page; the same for everybody, it holds nothing of the model."""
    page = PAGE.templates.get_template("chat.html.j2").render(feelings=FEELINGS)
    return HTMLResponse(page, headers={**HEADERS, "Cache-Control": "no-store"})


@router.get("/static/{path:path}")
async def file(path: str, request: Request) -> Response:
    """A file of the page, or one of the review page's that it uses too: its colours, its keys, its bird."""
    response = await PAGE.files.get_response(path, request.scope)
    response.headers.update(HEADERS)
    return response
