"""Tells Prefect that a batch is full, beside the reviewing: a server that is down is told later."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx

from apps.review.settings import Settings
from tasks.reviews.database import Database
from tasks.reviews.progress import full_batches, tell_full

EVENT = "fledgling.review.batch-full"
EVERY_S = 5.0
TIMEOUT_S = 5.0

_LOG = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def telling(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Looks for full batches for the length of the block; does nothing without a Prefect server's address."""
    if settings.prefect_api is None:
        yield
        return
    task = asyncio.create_task(_look_again_and_again(settings, database))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look_again_and_again(settings: Settings, database: Database) -> None:
    down = False
    while True:
        try:
            await asyncio.to_thread(tell_full_batches, settings, database)
            down = False
        except Exception as error:  # the page goes on, whatever befell the message
            if not down:
                _LOG.warning("Prefect is not told of full batches yet: %s", error)
            down = True
        await asyncio.sleep(EVERY_S)


def tell_full_batches(settings: Settings, database: Database) -> list[str]:
    """Tells of each full batch once; returns their names. Raises httpx.HTTPError where Prefect does not take it."""
    with database.reading() as session:
        full = full_batches(session)
    for batch in full:
        _emit(settings, batch)
        with database.session() as session:
            tell_full(session, batch, datetime.now(UTC))
    return full


def _emit(settings: Settings, batch: str) -> None:
    event = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{EVENT}/{batch}")),  # told twice, it is one event
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": f"fledgling.review.batch.{batch}", "prefect.resource.name": batch},
        "payload": {"batch": batch},
    }
    auth = tuple((settings.prefect_auth or "").split(":", 1))
    with httpx.Client(
        base_url=settings.prefect_api or "", timeout=TIMEOUT_S, auth=auth if len(auth) == 2 else None
    ) as client:  # fmt: skip
        client.post("/events", json=[event], headers=_csrf(client)).raise_for_status()


def _csrf(client: httpx.Client) -> dict[str, str]:
    """Prefect's own token, where its server asks for one (422 where it does not)."""
    name = str(uuid.uuid4())
    answer = client.get("/csrf-token", params={"client": name})
    if not answer.is_success:
        return {}
    return {"Prefect-Csrf-Token": answer.json()["token"], "Prefect-Csrf-Client": name}
