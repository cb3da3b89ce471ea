"""Questions to the platform's servers."""

import httpx

from fledgling.platform.settings import declaration

POOL = "fledgling"
NAMES = ("pipeline", "publish-reviews", "collect-reviews", "improve", "release", "rollback", "drift")
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
        answer = httpx.get(f"{api}/work_pools/{POOL}", timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("status") == "READY"


def is_deployed(api: str) -> bool:
    """Whether the server holds the deployments as prefect.yaml and the flows declare them now."""
    try:
        found = [httpx.get(f"{api}/deployments/name/{name}", timeout=5) for name in DEPLOYMENTS]
    except httpx.HTTPError:
        return False
    return all(answer.is_success and answer.json().get("version") == declaration() for answer in found)
