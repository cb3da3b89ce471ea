"""Questions to the platform's servers."""

import httpx

from fledgling.platform.settings import declaration

POOL = "fledgling"
DEPLOYMENT = "pipeline/pipeline"


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
    """Whether the server holds the deployment as prefect.yaml and the flow declare it now."""
    try:
        answer = httpx.get(f"{api}/deployments/name/{DEPLOYMENT}", timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.json().get("version") == declaration()
