"""Tells somebody of a run that ended badly: a POST of JSON to FLEDGLING_NOTIFY_URL, where that is set."""

import logging
import os
from typing import Any

log = logging.getLogger(__name__)

ADDRESS = "FLEDGLING_NOTIFY_URL"
TIMEOUT_S = 10.0
RETRIES = 3  # of a connection that fails, after 0, .5 and 1 s
MOST_CHARACTERS = 500  # of what went wrong


def tell(flow: Any, flow_run: Any, state: Any) -> None:  # the names that Prefect calls a hook by
    """Posts which run it was, how it ended, and the first line of why. A failure is a warning, no more."""
    post(flow=flow.name, run=flow_run.name, run_id=str(flow_run.id), state=state.name, why=str(state.message or ""))


def post(*, flow: str, run: str, run_id: str, state: str, why: str) -> None:
    """The same of a run that this process did not run."""
    address = os.environ.get(ADDRESS, "")
    if not address:
        return
    import httpx

    line = (why.splitlines() or [""])[0][:MOST_CHARACTERS]
    told = {"event": "fledgling.run.ended-badly", "flow": flow, "run": run, "id": run_id, "state": state, "why": line}
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=RETRIES), timeout=TIMEOUT_S) as client:
            client.post(address, json=told).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("%s was not told (%s)", ADDRESS, type(error).__name__)  # not the address: it may hold a secret
