"""When the platform is ready: each server answers, the flows are deployed, a worker waits."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx

from fledgling.platform import champion, watch
from fledgling.platform.addresses import Ports
from fledgling.platform.api import DEPLOYMENTS, POOL, answers, has_worker, is_deployed, pool, send
from fledgling.platform.settings import environment
from flows import process
from tasks.stage import UserError

TRIES, AGAIN_S = 3, 5.0  # of a deployment: a server that has just started answers 500 where its database is slow
ONE_AT_A_TIME = ("--concurrency-limit", "1", "--collision-strategy", "ENQUEUE")  # as prefect.yaml has it


def conditions(wanted: Ports, *, tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """What must hold, one thing after the other, until everything is ready."""
    api = f"{wanted.prefect_url}/api"
    yield lambda: answers(f"{api}/health")
    yield lambda: answers(f"{api}/ready")
    if not is_deployed(api):
        _deploy(api, environment(wanted, "deploy"), tell=tell)
    yield lambda: is_deployed(api)
    yield lambda: has_worker(api)
    yield lambda: answers(f"{wanted.mlflow_url}/health")
    yield lambda: answers(f"{wanted.review_url}/healthz")
    yield lambda: answers(f"{wanted.start_url}/health")
    if champion.is_there():
        yield lambda: answers(f"{wanted.serve_url}/ready")


def deploy(wanted: Ports) -> None:
    """Deploys everything on the server of the environment, as soon as that answers: docker-compose.yml's one shot."""
    api = os.environ["PREFECT_API_URL"]
    while not answers(f"{api}/health"):
        time.sleep(0.5)
    _deploy(api, environment(wanted, "deploy", alone=True), tell=lambda line: print(line, flush=True))


def _deploy(api: str, surroundings: dict[str, str], *, tell: Callable[[str], None]) -> None:
    _prepare(api)
    for left in reversed(range(TRIES)):
        code, output = _prefect_deploy(surroundings)
        if code == 0:
            tell(f"deployed {', '.join(DEPLOYMENTS if pool() == POOL else [f'pipeline/{pool()}'])}")
            return
        if left:
            tell(f"not all could be deployed; once more in {AGAIN_S:.0f} s")
            time.sleep(AGAIN_S)
    for line in filter(str.strip, output.splitlines()):
        tell(line)
    raise UserError("prefect.yaml could not be deployed; the lines above say why")


def _prepare(api: str) -> None:
    """The work pool, and what the server itself looks after. Raises UserError where it refuses, or never answers."""
    for left in reversed(range(TRIES)):
        try:
            made = send(api, "POST", "/work_pools/", {"name": pool(), "type": "process", "base_job_template": {}})
            if made.status_code != httpx.codes.CONFLICT:  # it is there
                made.raise_for_status()
            watch.ensure(api)
            return
        except httpx.HTTPError as error:
            if not left:
                raise UserError(f"Prefect at {api}: {error}") from None
            time.sleep(AGAIN_S)


def _prefect_deploy(surroundings: dict[str, str]) -> tuple[int, str]:
    own = ["flows/pipeline.py:pipeline", "--name", pool(), "--pool", pool(), *ONE_AT_A_TIME]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", *(["--all"] if pool() == POOL else own)]
    pipe = subprocess.PIPE
    deploying = process.start(command, extra=surroundings, stdout=pipe, stderr=subprocess.STDOUT)
    output, _ = deploying.communicate()
    return deploying.returncode, output
