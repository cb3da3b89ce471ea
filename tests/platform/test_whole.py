"""The platform on PostgreSQL: a run by its form, where its parts are, nothing secret in what it writes."""

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fledgling import logins
from fledgling.platform.api import NAMES
from tests.e2e.workspace import wait_for
from tests.flows.listening import Listener
from tests.platform.running import Platform
from tests.tasks.reviews.postgresql import Server

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(3600)]


def test_every_part_is_well_and_the_start_page_and_status_say_so(platform: Platform) -> None:
    found = {one["name"]: one["state"] for one in httpx.get(f"{platform.address('start')}/state", timeout=30).json()}
    well = {"prefect": "well", "mlflow": "well", "review": "well", "worker": "well"}
    assert found == {**well, "serve": "waiting"}  # there is no champion yet
    done = platform.fledgling("status")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [[name, found[name]] for name in found]
    assert platform.fledgling("status", "--of", "serve").returncode == 1
    assert platform.fledgling("status", "--of", "worker").returncode == 0


def test_what_has_no_champion_says_so(platform: Platform) -> None:
    answer = httpx.get(platform.address("serve"), timeout=30)
    assert answer.status_code == 503
    assert "No champion yet" in answer.text


def test_a_profile_is_a_choice_in_the_form(platform: Platform) -> None:
    schema = platform.prefect("/deployments/name/pipeline/pipeline")["parameter_openapi_schema"]
    options = [one["enum"] for one in schema["properties"]["profile"]["anyOf"] if "enum" in one]
    assert options == [sorted(path.stem for path in (platform.folder / "profiles").glob("*.yaml"))]


def test_deployments_are_described_and_limited(platform: Platform) -> None:
    for name in NAMES:
        found = platform.prefect(f"/deployments/name/{name}/{name}")
        assert found["description"]
        assert "fledgling" in found["tags"]
        assert found["global_concurrency_limit"]["limit"] == 1


def test_a_run_by_its_form_ends_well(platform: Platform) -> None:
    (platform.folder / "go").touch()
    run = platform.run("pipeline", registered=False)
    assert platform.wait_until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED"
    tasks = platform.prefect("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert [task["name"] for task in tasks] == ["wait"]
    runs = mlflow(platform, "runs/search", {"experiment_ids": ["1"]})["runs"]
    assert {one["info"]["status"] for one in runs} == {"FINISHED"}
    assert (platform.folder / "var" / "mlflow" / "mlflow.db").exists() is False  # all of it is in PostgreSQL


def mlflow(platform: Platform, path: str, body: Any) -> Any:
    auth = (platform.logins[logins.MLFLOW_USER], platform.logins[logins.MLFLOW_PASSWORD])
    answer = httpx.post(f"{platform.address('mlflow')}/api/2.0/mlflow/{path}", json=body, auth=auth, timeout=60)
    return answer.raise_for_status().json()


def test_a_schedule_really_fires(platform: Platform) -> None:
    deployment = platform.prefect("/deployments/name/drift/drift")["id"]
    every = [{"schedule": {"interval": 10.0}, "active": True, "slug": "of-the-test"}]
    platform.prefect(f"/deployments/{deployment}/schedules", every)
    asked = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}

    def fired() -> list[datetime]:
        runs = [run for run in platform.prefect("/flow_runs/filter", asked) if run["auto_scheduled"]]
        return sorted(datetime.fromisoformat(run["expected_start_time"]) for run in runs)

    wait_for(lambda: len(fired()) >= 2, limit_s=600, what="two scheduled runs", every_s=2)
    first, second = fired()[:2]
    assert (second - first).total_seconds() % 10 == 0


def test_a_run_that_failed_is_told_to_who_asked(platform: Platform, listener: Listener) -> None:
    run = platform.run("backup", folder="params.yaml")
    assert platform.wait_until(run, "COMPLETED", "FAILED", "CRASHED") == "FAILED"
    wait_for(lambda: listener.told, limit_s=60, what="the notice", every_s=0.5)
    (told,) = listener.told
    assert (told["flow"], told["id"], told["state"]) == ("backup", run, "Failed")


def test_a_backup_by_its_form_holds_every_database(platform: Platform) -> None:
    run = platform.run("backup")
    assert platform.wait_until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED"
    (made,) = (platform.folder / "var" / "backups").iterdir()
    assert sorted(path.name for path in (made / "databases").iterdir()) == [
        "mlflow.dump",
        "prefect.dump",
        "reviews.dump",
    ]


def test_no_secret_is_in_what_is_written(platform: Platform, postgresql: Server) -> None:
    """Every login is a canary: looked for in the lines, the files, and all that PostgreSQL holds."""
    canaries = [value for name, value in platform.logins.items() if name != logins.MLFLOW_USER]
    canaries.append(platform.logins[logins.PREFECT].partition(":")[2])
    held = {"the databases": dumped(postgresql), "the lines": platform.lines.partition("asks for")[0]}
    held |= {str(path): text for path, text in files(platform.folder)}
    found = {where for where, text in held.items() for canary in canaries if canary in text}
    assert found == set()
    assert json.dumps(canaries[0]) not in held["the databases"]


def dumped(server: Server) -> str:
    """Everything, as text: `pg_dumpall`."""
    command = server._command("pg_dumpall", "-h", "127.0.0.1", "-p", server.port, "-U", "postgres")
    return subprocess.run(command, cwd="/", capture_output=True, check=True, timeout=120).stdout.decode(
        errors="replace"
    )


def files(folder: Path) -> list[tuple[Path, str]]:
    """Every file but the one that is there to hold the logins, and the lines that told them once."""
    kept = {folder / logins.FILE, folder / "lines.txt"}
    paths = [path for path in folder.rglob("*") if path.is_file() and path not in kept]
    return [(path, path.read_bytes().decode(errors="replace")) for path in paths]


def test_the_logins_are_told_once(platform: Platform) -> None:
    told = [line for line in platform.lines.splitlines() if "asks for" in line or "ask for" in line]
    assert len(told) == 3
