"""What the Prefect server itself looks after: a run whose worker died is ended as crashed."""

from typing import Any

from fledgling.platform.api import send

NAME = "runs that died are crashed"
SILENT_S = 480  # eight heartbeats: a server that was away for five minutes has heard none either
DIED = "Nothing was heard of this run for eight minutes: its worker died, or its machine."
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended", "AwaitingRetry")


def ensure(api: str) -> None:
    """Makes the automation, or brings it up to date. Raises httpx.HTTPError where the server refuses."""
    asked = {"automations": {"name": {"any_": [NAME]}}}
    found = send(api, "POST", "/automations/filter", asked).raise_for_status().json()
    if not found:
        send(api, "POST", "/automations/", _automation()).raise_for_status()
    else:
        send(api, "PUT", f"/automations/{found[0]['id']}", _automation()).raise_for_status()


def _automation() -> dict[str, Any]:
    beat = "prefect.flow-run.heartbeat"
    return {
        "name": NAME,
        "description": "A run that was heard of, and is not any more, though it never ended.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
            "for_each": ["prefect.resource.id"],
            "after": [beat],
            "expect": [beat, *(f"prefect.flow-run.{state}" for state in _ENDED)],
            "posture": "Proactive",
            "threshold": 1,
            "within": SILENT_S,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "name": "Crashed", "message": DIED}],
    }
