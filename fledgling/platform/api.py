"""Questions to the platform's servers."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from apps.start.parts import POOL, prefect_login
from fledgling.platform.settings import declaration

NAMES = ("pipeline", "publish-reviews", "collect-reviews", "improve", "release", "rollback", "drift", "backup")
DEPLOYMENTS = tuple(f"{name}/{name}" for name in NAMES)  # of a flow and a deployment of its name


def pool() -> str:
    """The work pool of this folder's worker. FLEDGLING_POOL: one more clone's, which runs `pipeline` alone."""
    return os.environ.get("FLEDGLING_POOL") or POOL


@cache
def client() -> httpx.Client:
    """One for all questions: each new one reads the machine's certificates, 30 ms."""
    return httpx.Client(timeout=5, trust_env=False)


def answers(url: str) -> bool:
    """Whether something answers there, and well."""
    try:
        return client().get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def has_worker(api: str) -> bool:
    """Whether a worker waits for runs."""
    try:
        answer = client().get(f"{api}/work_pools/{POOL}", auth=prefect_login())
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("status") == "READY"


def is_deployed(api: str) -> bool:
    """Whether the server holds the deployments as prefect.yaml and the flows declare them now."""
    try:
        found = [client().get(f"{api}/deployments/name/{name}", auth=prefect_login()) for name in DEPLOYMENTS]
    except httpx.HTTPError:
        return False
    return all(answer.is_success and answer.json().get("version") == declaration() for answer in found)


def send(api: str, method: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
    """Sends JSON to the Prefect server, with the login and the token that it asks of pages and programs alike.

    Raises httpx.HTTPError where it does not answer; an answer that refuses is the caller's to read.
    """
    name, login = f"fledgling-{os.getpid()}", prefect_login()
    answer = client().get(f"{api}/csrf-token", params={"client": name}, auth=login, timeout=30)
    token = answer.json().get("token", "") if answer.is_success else ""  # 422 where it asks for none
    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": name} if token else {}
    return client().request(method, f"{api}{path}", json=body, headers=headers, auth=login, timeout=30)
