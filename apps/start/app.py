"""The start page as an application: one page, its files, and how the parts are as JSON. It changes nothing."""

from dataclasses import asdict
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response

from apps.review import look
from apps.review.protection import Headers
from apps.review.settings import OWN_HOSTS
from apps.start import parts

PAGE = look.PageBeside(Path(__file__).resolve().parent)
EVERY_S = 5  # how often an open page asks again


def create_app(hosts: tuple[str, ...] = ()) -> FastAPI:
    """The application. hosts: further names by which browsers may reach it."""
    names = [host.strip("[]") if host.startswith("[") else host for host in (*OWN_HOSTS, *hosts)]
    app = FastAPI(
        openapi_url=None,
        middleware=[Middleware(Headers), Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)],
    )
    app.add_api_route("/", _page)
    app.add_api_route("/state", _state)
    app.add_api_route("/health", _health)
    app.add_api_route("/static/{path:path}", _file)
    return app


async def _page(request: Request) -> Response:
    """The links go to the host that this page was opened by."""
    name = request.url.hostname or ""
    host = f"[{name}]" if ":" in name else name
    links = {part.name: f"http://{host}:{part.public_port()}" for part in parts.PARTS}
    shown = PAGE.templates.get_template("start.html.j2").render(parts=parts.PARTS, links=links, every_s=EVERY_S)
    return HTMLResponse(shown)


async def _state() -> Response:
    """How each part is now."""
    return JSONResponse([asdict(condition) for condition in await parts.conditions()])


async def _health() -> Response:
    return JSONResponse({"status": "ok"})


async def _file(path: str, request: Request) -> Response:
    """A file of the page, or one of the review page's that it uses too."""
    return await PAGE.files.get_response(path, request.scope)
