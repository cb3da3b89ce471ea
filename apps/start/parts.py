"""The platform's parts, and how each is now: asked of its own health route, on this machine or in its container."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import httpx

from apps.review.settings import LOOPBACK, port_of

State = Literal["well", "waiting", "away"]
LIMIT_S = 3.0
POOL = "fledgling"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part. variable: holds the port that people open; path: of its health; does: what people do there."""

    name: str
    title: str
    does: str
    variable: str
    port: int
    inside: str  # the variable of the address that services reach it by
    path: str

    def public_port(self, environment: Mapping[str, str] = os.environ) -> int:
        return port_of(environment.get(self.variable, ""), name=self.variable, default=self.port)

    def health(self, environment: Mapping[str, str] = os.environ) -> str:
        """Where it is asked how it is."""
        own = f"http://{LOOPBACK}:{self.public_port(environment)}"
        address = environment.get(self.inside) or own
        return f"{address.rstrip('/').removesuffix('/api')}{self.path}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How a part is, in a word and in a line."""

    name: str
    state: State
    line: str


PARTS = (
    Part(
        name="prefect", title="Prefect", does="Run the pipeline, watch it, approve a release.",
        variable="FLEDGLING_PREFECT_PORT", port=4200, inside="PREFECT_API_URL", path="/api/ready",
    ),
    Part(
        name="mlflow", title="MLflow", does="Compare runs, read a model's card and its evidence.",
        variable="FLEDGLING_MLFLOW_PORT", port=5000, inside="MLFLOW_TRACKING_URI", path="/health",
    ),
    Part(
        name="review", title="Review", does="Say which answer is better, and why.",
        variable="FLEDGLING_REVIEW_PORT", port=8100, inside="FLEDGLING_REVIEW_URL", path="/healthz",
    ),
    Part(
        name="serve", title="Chat", does="Talk with the champion.",
        variable="FLEDGLING_SERVE_PORT", port=8200, inside="FLEDGLING_SERVE_URL", path="/ready",
    ),
)  # fmt: skip
WORKER = "worker"
NAMES = (*(part.name for part in PARTS), WORKER)


async def conditions(environment: Mapping[str, str] = os.environ) -> list[Condition]:
    """How all of them are, asked at the same time; the worker, who has no page, comes last."""
    async with httpx.AsyncClient(timeout=LIMIT_S, verify=_certificates(), trust_env=False) as client:
        asked = [_of(client, part, environment) for part in PARTS]
        return list(await asyncio.gather(*asked, _worker(client, environment)))


@cache
def _certificates() -> ssl.SSLContext:
    """The machine's, read once: 30 ms."""
    return ssl.create_default_context()


async def _of(client: httpx.AsyncClient, part: Part, environment: Mapping[str, str]) -> Condition:
    try:
        answer = await client.get(part.health(environment))
    except httpx.HTTPError as error:
        return Condition(name=part.name, state="away", line=_away(error))
    if answer.is_success:
        return Condition(name=part.name, state="well", line=_told(part, answer))
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return Condition(name=part.name, state="waiting", line=_waits_for(part, answer))
    return Condition(name=part.name, state="away", line=f"answers {answer.status_code}")


def _waits_for(part: Part, answer: httpx.Response) -> str:
    if part.name != "serve":
        return "starting"
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return "loads the model" if is_json else "no champion yet"


def _told(part: Part, answer: httpx.Response) -> str:
    if part.name != "serve":
        return "ready"
    try:
        served = answer.json()["served"]
    except (ValueError, KeyError):
        return "ready"
    return f"serves {', '.join(map(str, served))}"


def _away(error: httpx.HTTPError) -> str:
    return "does not answer in time" if isinstance(error, httpx.TimeoutException) else "does not answer"


def prefect_login(environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """User and password of Prefect's server; None where it asks for none."""
    user, colon, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
    return (user, password) if colon else None


async def _worker(client: httpx.AsyncClient, environment: Mapping[str, str]) -> Condition:
    """Whether somebody waits for runs: Prefect's work pool says so to who may ask."""
    part = PARTS[0]
    api = environment.get(part.inside) or f"http://{LOOPBACK}:{part.public_port(environment)}/api"
    try:
        answer = await client.get(f"{api}/work_pools/{POOL}", auth=prefect_login(environment))
        state = answer.json().get("status") if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return Condition(name=WORKER, state="away", line="Prefect, which knows of it, does not answer")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return Condition(name=WORKER, state="away", line="Prefect does not let this page in: PREFECT_API_AUTH_STRING")
    if state == "READY":
        return Condition(name=WORKER, state="well", line="waits for runs")
    return Condition(name=WORKER, state="waiting", line="none is there: runs are kept until one is")
