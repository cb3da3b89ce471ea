"""The page as an application: `create_app` joins routes, access, protection and templates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response

from apps.review import events, owner, pages, questions
from apps.review.access import Gate, NotJoined, Refused
from apps.review.look import STATIC, VersionedFiles, page, page_version
from apps.review.models import Models
from apps.review.protection import AddressLimit, BodyLimit, Headers, Limits, too_many
from apps.review.service import Service, TooMany
from apps.review.settings import Settings
from tasks.judging.rubric import Rubric
from tasks.reviews.database import Database, Unavailable
from tasks.reviews.params import ReviewParams
from tasks.stage import UserError


def create_app(settings: Settings, database: Database, params: ReviewParams, rubric: Rubric) -> FastAPI:
    """The application; the database is opened and closed by the caller."""
    limits = Limits()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with events.telling(settings, database):
            yield

    app = FastAPI(
        openapi_url=None, lifespan=lifespan,
        middleware=[
            Middleware(Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=_names(settings.hosts), www_redirect=False),
            Middleware(AddressLimit, limits=limits),
            Middleware(BodyLimit),
        ],
    )  # fmt: skip
    app.state.service = Service(
        settings=settings,
        database=database,
        params=params,
        rubric=rubric,
        gate=Gate(settings),
        limits=limits,
        models=Models(address=settings.models, key=settings.models_key),
    )
    app.include_router(pages.router)
    app.include_router(questions.router)
    app.include_router(owner.router)
    app.mount("/static", VersionedFiles(page_version(), directory=STATIC))
    _say_errors_plainly(app)
    return app


def _names(hosts: tuple[str, ...]) -> list[str]:
    """Without ports: the header's is not compared."""
    return [host if host.startswith("[") else host.partition(":")[0] for host in hosts]


def _say_errors_plainly(app: FastAPI) -> None:
    """Each error is one line; a page for a person, plain text for the page's own requests."""

    def not_joined(request: Request, error: Exception) -> Response:
        return _told(request, str(error), status=401)

    def refused(request: Request, error: Exception) -> Response:
        return _told(request, str(error), status=403)

    def mistaken(request: Request, error: Exception) -> Response:
        return _told(request, str(error), status=400)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # registered for it alone
        first = error.errors()[0]
        return _told(request, f"{'.'.join(map(str, first['loc']))}: {first['msg']}", status=422)

    def busy(request: Request, error: Exception) -> Response:
        return _told(request, f"Not known to be stored: {error}", status=503)

    def too_often(request: Request, error: Exception) -> Response:
        return too_many()

    app.add_exception_handler(NotJoined, not_joined)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(UserError, mistaken)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Unavailable, busy)
    app.add_exception_handler(TooMany, too_often)


def _told(request: Request, line: str, *, status: int) -> Response:
    if request.method != "GET":
        return PlainTextResponse(line, status_code=status)
    return page("told.html.j2", {"line": line, "may_go_on": status == 401}, status=status)
