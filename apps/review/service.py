"""What every route needs, and who is asking: the dependencies of the routes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from apps.review.access import CSRF_HEADER, Gate, Visit
from apps.review.models import Models
from apps.review.protection import Limits
from apps.review.settings import Settings
from tasks.judging.rubric import Rubric
from tasks.reviews.database import Database
from tasks.reviews.params import ReviewParams


class TooMany(Exception):
    """Asked for more often than people answer."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """The page's own world, made once by `create_app`."""

    settings: Settings
    database: Database
    params: ReviewParams
    rubric: Rubric
    gate: Gate
    models: Models
    limits: Limits = field(default_factory=Limits)


def now() -> datetime:
    """The moment of a request."""
    return datetime.now(UTC)


async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)  # put there by create_app
    return service


async def _visit(request: Request, service: Annotated[Service, Depends(_service)]) -> Visit:
    visit = service.gate.visit(request)
    if not await service.limits.allows_session(visit.key):
        raise TooMany
    return visit


async def _changing(
    request: Request, service: Annotated[Service, Depends(_service)], visit: Annotated[Visit, Depends(_visit)]
) -> Visit:
    service.gate.check_csrf(request, visit, request.headers.get(CSRF_HEADER, ""))
    return visit


async def _joining(request: Request, service: Annotated[Service, Depends(_service)]) -> Service:
    if not await service.limits.allows_join(request.client.host if request.client else "unknown"):
        raise TooMany
    return service


Served = Annotated[Service, Depends(_service)]
Joining = Annotated[Service, Depends(_joining)]  # may come in with a link
Visiting = Annotated[Visit, Depends(_visit)]  # may look
Changing = Annotated[Visit, Depends(_changing)]  # may change: it was this session's page that asked
