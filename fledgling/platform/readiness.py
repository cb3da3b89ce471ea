"""When the platform is ready: each server answers, the flow is deployed, a worker waits."""

import subprocess
import sys
from collections.abc import Callable, Iterator

from fledgling.platform.addresses import Ports
from fledgling.platform.api import DEPLOYMENTS, POOL, answers, has_worker, is_deployed
from fledgling.platform.settings import environment
from flows import process
from tasks.stage import UserError


def conditions(wanted: Ports, *, tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """What must hold, one thing after the other, until everything is ready."""
    api = f"{wanted.prefect_url}/api"
    yield lambda: answers(f"{api}/health")
    yield lambda: answers(f"{api}/work_pools/{POOL}")  # made by the worker
    if not is_deployed(api):
        _deploy(wanted, tell=tell)
    yield lambda: is_deployed(api)
    yield lambda: has_worker(api)
    yield lambda: answers(f"{wanted.mlflow_url}/health")
    yield lambda: answers(f"{wanted.review_url}/healthz")
    if wanted.serve_url is not None:
        yield lambda: answers(f"{wanted.serve_url}/ready")


def _deploy(wanted: Ports, *, tell: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    pipe = subprocess.PIPE
    deploying = process.start(command, extra=environment(wanted), stdout=pipe, stderr=subprocess.STDOUT)
    output, _ = deploying.communicate()
    if deploying.returncode != 0:
        for line in filter(str.strip, output.splitlines()):
            tell(line)
        raise UserError("prefect.yaml could not be deployed; the lines above say why")
    tell(f"deployed {', '.join(DEPLOYMENTS)}")
