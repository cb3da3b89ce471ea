"""The flows of reviews on a real Prefect server: deployed, and started by the event of a full batch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fledgling.platform.api import answers
from flows.local import free_port
from tasks.reviews.batch_file import read_folder
from tasks.reviews.database import open_database
from tests.conftest import ROOT
from tests.e2e.workspace import wait_for
from tests.tasks.reviews.small import answer, deal, person, publish, sent

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

COPIED = ("flows", "tasks", "apps", "prefect.yaml", "pyproject.toml", "rubric.yaml")
EVENT = "fledgling.review.batch-full"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the flows need, with a batch that is full in its database; not under DVC."""
    folder = tmp_path_factory.mktemp("project")
    for name in COPIED:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["review"]
    (folder / "params.yaml").write_text(yaml.safe_dump({"review": section}))
    with open_database(f"sqlite:///{folder}/var/review/review.db") as database, database.session() as session:
        publish(session, items=3)
        ada = person(session)
        for card in deal(session, ada, 3):
            answer(session, ada, sent(card))
    return folder


@pytest.fixture(scope="module")
def environment(project: Path) -> dict[str, str]:
    """A server's address, and nothing of the machine's own Prefect, MLflow or reviews."""
    others = ("PREFECT_", "MLFLOW_", "FLEDGLING_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {
        **kept,
        "FLEDGLING_ROOT": str(project),
        "FLEDGLING_DEPLOYMENT": "tests",
        "PREFECT_HOME": str(project / "var" / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": "",
        "DO_NOT_TRACK": "true",
    }


@pytest.fixture(scope="module")
def api(project: Path, environment: dict[str, str]) -> Iterator[str]:
    """A Prefect server with the deployments of prefect.yaml, and a worker."""
    url = environment["PREFECT_API_URL"]
    port = url.split(":")[2].removesuffix("/api")
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> None:
        with (project / f"{arguments[0]}.log").open("w") as log:
            command = [sys.executable, "-m", "prefect", *arguments]
            started.append(subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log))

    try:
        start("server", "start", "--host", "127.0.0.1", "--port", port)
        wait_for(lambda: answers(f"{url}/health"), limit_s=120, what="the server", every_s=0.5)
        run(project, environment, "work-pool", "create", "fledgling", "--type", "process")
        run(project, environment, "deploy", "--all")
        start("worker", "start", "--pool", "fledgling", "--type", "process", "--name", "here")
        yield url
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(project: Path, environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def runs(api: str, deployment: str) -> list[dict[str, Any]]:
    asked = {"deployments": {"name": {"any_": [deployment]}}}
    return list(httpx.post(f"{api}/flow_runs/filter", json=asked, timeout=30).json())


def deployment(api: str, name: str) -> dict[str, Any]:
    return dict(httpx.get(f"{api}/deployments/name/{name}/{name}", timeout=30).raise_for_status().json())


def test_both_are_deployed_with_their_schedules_off(api: str) -> None:
    for name in ("publish-reviews", "collect-reviews"):
        found = deployment(api, name)
        assert [schedule["active"] for schedule in found["schedules"]] == [False]
        assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert found["global_concurrency_limit"]["limit"] == 1


def test_deployed_again_the_trigger_is_there_once(api: str, project: Path, environment: dict[str, str]) -> None:
    run(project, environment, "deploy", "--all")
    found = httpx.post(f"{api}/automations/filter", json={}, timeout=30).json()
    assert [one["trigger"]["expect"] for one in found] == [[EVENT]]
    assert [one["enabled"] for one in found] == [True]


def test_the_event_of_a_full_batch_has_it_collected(api: str, project: Path) -> None:
    from apps.review.events import tell_full_batches
    from apps.review.settings import load_settings

    settings = load_settings(environment={"PREFECT_API_URL": api}, secret_file=project / "var" / "secret")
    with open_database(f"sqlite:///{project}/var/review/review.db") as database:
        assert tell_full_batches(settings, database) == ["batch-1"]
    wait_for(lambda: runs(api, "collect-reviews"), limit_s=60, what="a run that the event started", every_s=0.5)
    file = project / "data" / "feedback" / "batch-1.jsonl"
    wait_for(file.exists, limit_s=120, what="the batch file", every_s=0.5)
    wait_for(lambda: ended(api), limit_s=180, what="the end of the run", every_s=0.5)
    assert [found["state_type"] for found in runs(api, "collect-reviews")] == ["COMPLETED"]
    assert len(read_folder(file.parent)) == 3
    assert runs(api, "publish-reviews") == []


def ended(api: str) -> bool:
    return all(found["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for found in runs(api, "collect-reviews"))
