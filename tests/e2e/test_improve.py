"""A batch that people answered makes a champion: collected, the stale made anew, gated, approved; by events."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.reviews.database import open_database
from tests.e2e.registry import registry
from tests.e2e.workspace import Workspace, wait_for
from tests.flows.served import Server, prefect_environment, served
from tests.tasks.reviews.small import answer, deal, person, publish, sent

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(900)]

ITEMS = 6
SERVERS = ("PREFECT_", "FLEDGLING_", "PYTHONWARNINGS", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")  # variables
# models of seconds are no better than one another: what the gate says of them is put in its mouth
SAYS_PROMOTE = """
import json, pathlib
path = pathlib.Path("metrics/gate.json")
path.write_text(json.dumps(json.loads(path.read_text()) | {"decision": "promote", "reasons": ["the test says so"]}))
"""


@pytest.fixture(scope="module")
def workspace(chain: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished chain whose gate says `promote`, and a batch that is full in its database."""
    workspace = chain.copy(tmp_path_factory.mktemp("improved"))
    (workspace.folder / "promote.py").write_text(SAYS_PROMOTE)
    declared = workspace.folder / "dvc.yaml"
    written, command = declared.read_text(), "--metrics metrics/gate.json --page metrics/gate.md"
    assert written.count(command) == 1
    declared.write_text(written.replace(command, f"{command} && python promote.py"))
    workspace.git("commit", "-q", "-a", "-m", "a gate that promotes")
    database_file = workspace.folder / "var" / "review" / "review.db"
    with open_database(f"sqlite:///{database_file}") as database, database.session() as session:
        publish(session, items=ITEMS)
        ada = person(session)
        for card in deal(session, ada, ITEMS):
            answer(session, ada, sent(card))
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    own = {key: value for key, value in prefect_environment(workspace.folder).items() if key.startswith(SERVERS)}
    with served(workspace.folder, workspace.environment(**own)) as server:
        yield server


@pytest.fixture(scope="module")
def improved(server: Server) -> dict[str, Any]:
    """The run of `improve` that the collected batch started, at its end."""
    collecting = server.run("collect-reviews")
    assert server.wait_until(collecting) == "COMPLETED", server.lines(collecting)
    (run,) = wait_for(lambda: server.runs("improve"), limit_s=60, what="a run that the event started", every_s=0.5)
    assert server.wait_until(run["id"], limit_s=600) == "COMPLETED", server.lines(run["id"])
    return dict(server.ask(f"/flow_runs/{run['id']}"))


def test_what_the_batch_made_stale_was_made_anew_and_nothing_else(server: Server, improved: dict[str, Any]) -> None:
    asked = {"flow_runs": {"id": {"any_": [improved["id"]]}}}
    ran = {task["name"] for task in server.ask("/task_runs/filter", asked)}
    assert {"pair", "align", "evaluate", "judge", "gate", "register"} <= ran
    assert not ran.intersection({"ingest", "prepare", "validate", "tokenize", "pretrain"})
    server.says(improved["id"], " stages to run: ")
    assert "pretrain" not in server.lines(improved["id"])


def test_the_batch_is_in_what_the_model_learnt_from(workspace: Workspace, improved: dict[str, Any]) -> None:
    manifest = workspace.json("data/pairs/manifest.json")
    assert "batch-1" in json.dumps(manifest)


def test_the_decision_is_told(server: Server, workspace: Workspace, improved: dict[str, Any]) -> None:
    (event,) = wait_for(lambda: server.events("fledgling.gate.decided"), limit_s=60, what="the event", every_s=0.5)
    assert (event["payload"]["decision"], event["payload"]["version"]) == ("promote", 1)
    asked = {"flow_runs": {"id": {"any_": [improved["id"]]}}, "artifacts": {"key": {"any_": ["gate"]}}}
    (page,) = server.ask("/artifacts/filter", asked)
    assert page["data"] == (workspace.folder / "metrics" / "gate.md").read_text()


def test_approved_the_new_model_is_the_champion(server: Server, workspace: Workspace, improved: dict[str, Any]) -> None:
    (run,) = server.runs("release")
    assert run["parameters"]["version"] == "1"
    assert server.wait_until(run["id"], "PAUSED", "FAILED", "CRASHED") == "PAUSED", server.lines(run["id"])
    assert server.send_form(run["id"], {"decision": "approve", "by": "ada"}) == "ACCEPT"
    assert server.wait_until(run["id"], "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", server.lines(run["id"])
    held = workspace.json("champion/champion.json")
    assert (held["version"], held["model"]) == (1, "aligned")
    found = registry(workspace)
    assert found["aliases"]["champion"] == 1
    assert found["versions"][0]["tags"]["promoted_by"] == "ada"


def test_the_champion_is_compared_with_nobody_but_base_again(server: Server, workspace: Workspace) -> None:
    run = server.run("improve")
    assert server.wait_until(run, limit_s=300) == "COMPLETED", server.lines(run)
    server.says(run, "1 of ")
    assert "to run: gate" in server.lines(run)
    again = server.run("improve", batch="batch-1")
    assert server.wait_until(again) == "COMPLETED", server.lines(again)
    server.says(again, "batch batch-1 made nothing stale: no stage was run")
