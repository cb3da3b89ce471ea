"""The server as an application: `application` joins routes, protection and what runs beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response

from apps.serve import chat_page, docs_page, feedback, openai_api
from apps.serve.openai_errors import say_errors
from apps.serve.protection import Protection
from apps.serve.service import Service, service_of
from tasks.stage import UserError

log = logging.getLogger(__name__)

ABOUT = "A model that Fledgling raised, behind OpenAI's HTTP API. What is not listed here is refused by name."

router = APIRouter(tags=["The server"])


def application(service: Service) -> FastAPI:
    """The application. It loads the model when it starts, and answers 503 until then."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(_load_and_follow(service))
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            await service.settle()
            await asyncio.to_thread(service.fleet.close)
            await asyncio.to_thread(service.record.close)

    app = FastAPI(
        title="Fledgling", description=ABOUT, version="1", lifespan=lifespan,
        docs_url=None, redoc_url=None, redirect_slashes=False,
        middleware=[
            Middleware(
                Protection, keys=service.settings.keys, most_body_bytes=service.params.max_body_bytes,
                count=service.metrics.refused,
            )
        ],
    )  # fmt: skip
    app.state.service = service
    for routes in (router, openai_api.router, feedback.router, docs_page.router, chat_page.router):
        app.include_router(routes)
    docs_page.describe(app)
    say_errors(app)
    return app


async def _load_and_follow(service: Service) -> None:
    """Loads; where nothing can be, the server is told to end."""
    try:
        await service.fleet.refresh()
    except UserError as error:
        service.fail(error)
        return
    service.beside(asyncio.to_thread(service.record.prepare))
    await service.fleet.follow()


@router.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"description": "No model is loaded yet."}})
async def ready(request: Request) -> Response:
    """A model is loaded."""
    fleet = service_of(request).fleet
    if not fleet.is_ready:
        return JSONResponse({"status": "loading"}, status_code=503, headers={"Retry-After": "1"})
    return JSONResponse({"status": "ready", "served": {live.served.told: share for live, share in fleet.lives}})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(service_of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/admin/reload", status_code=202, responses={401: openai_api.ERRORS[401], 403: openai_api.ERRORS[403]})
async def reload(request: Request) -> dict[str, str]:
    """Ask the registry now who the champion is; a promotion posts here (FLEDGLING_RELOAD_URL)."""
    service = service_of(request)
    service.beside(service.fleet.tolerant_refresh())
    return {"status": "reloading"}
