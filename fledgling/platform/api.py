"""Questions to the platform's servers."""

import os
from collections.abc import Mapping
from typing import Any

import httpx

from fledgling import logins
from fledgling.platform.settings import declaration

POOL = "fledgling"
NAMES = ("pipeline", "publish-reviews", "collect-reviews", "improve", "release", "rollback", "drift", "backup")
DEPLOYMENTS = tuple(f"{name}/{name}" for name in NAMES)  # of a flow and a deployment of its name


def answers(url: str) -> bool:
    """Whether something answers there, and well."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def has_worker(api: str) -> bool:
    """Whether a worker waits for runs."""
    try:
        answer = httpx.get(f"{api}/work_pools/{POOL}", timeout=5, auth=_login())
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("status") == "READY"


def is_deployed(api: str) -> bool:
    """Whether the server holds the deployments as prefect.yaml and the flows declare them now."""
    try:
        found = [httpx.get(f"{api}/deployments/name/{name}", timeout=5, auth=_login()) for name in DEPLOYMENTS]
    except httpx.HTTPError:
        return False
    return all(answer.is_success and answer.json().get("version") == declaration() for answer in found)


def send(api: str, method: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
    """Sends JSON to the Prefect server, with the login and the token that it asks of pages and programs alike.

    Raises httpx.HTTPError where it does not answer; an answer that refuses is the caller's to read.
    """
    with httpx.Client(base_url=api, timeout=30, auth=_login()) as client:
        name = f"fledgling-{os.getpid()}"
        answer = client.get("/csrf-token", params={"client": name})  # 422 where it asks for none
        token = answer.json().get("token", "") if answer.is_success else ""
        headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": name} if token else {}
        return client.request(method, path, json=body, headers=headers)


def _login() -> tuple[str, str] | None:
    user, colon, password = os.environ.get(logins.PREFECT, "").partition(":")
    return (user, password) if colon else None
