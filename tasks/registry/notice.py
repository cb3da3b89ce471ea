"""Tells the server of the model that the champion changed: a POST to FLEDGLING_RELOAD_URL, where that is set."""

import logging
import os
from collections.abc import Mapping

log = logging.getLogger(__name__)

ADDRESS = "FLEDGLING_RELOAD_URL"
TIMEOUT_S = 10.0
RETRIES = 3  # of a connection that fails, after 0, .5 and 1 s


def send(event: Mapping[str, str | int | None]) -> bool:
    """Posts the event as JSON; returns whether it was taken. A failure is a warning: the champion has moved."""
    address = os.environ.get(ADDRESS, "")
    if not address:
        return False
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=RETRIES), timeout=TIMEOUT_S) as client:
            client.post(address, json=dict(event)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("%s was not told (%s); tell it to load the champion anew", ADDRESS, _cause(error))
        return False
    return True


def _cause(error: Exception) -> str:
    """What went wrong, without the address: it may hold a secret."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered {error.response.status_code}"
    return type(error).__name__
