"""The flows of reviews on a real Prefect server: deployed, and started by the event of a full batch."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tasks.gating.champion import clear_champion, write_champion
from tasks.judging.kept import write_lines
from tasks.reviews.batch_file import read_folder
from tasks.reviews.database import open_database
from tasks.serving.recorded import to_row
from tests.conftest import ROOT
from tests.e2e.workspace import wait_for
from tests.flows.served import Server, copy_project, served
from tests.tasks.gating.test_champion import champion
from tests.tasks.judging.contests import item
from tests.tasks.reviews.small import answer, deal, person, publish, sent
from tests.tasks.serving.served import reply

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

EVENTS = ["fledgling.review.batch-full", "fledgling.feedback.collected"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the flows need, with a batch that is full in its database; not under DVC."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    sections = {"review": given["review"], "serve": given["serve"], "judge": {"judge": "heuristic-b"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))
    (folder / "champion").mkdir()
    clear_champion(folder / "champion")
    with open_database(f"sqlite:///{folder}/var/review/review.db") as database, database.session() as session:
        publish(session, items=3)
        ada = person(session)
        for card in deal(session, ada, 3):
            answer(session, ada, sent(card))
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with served(project) as server:
        yield server


@pytest.mark.parametrize("name", ["publish-reviews", "collect-reviews", "improve", "drift"])
def test_what_is_deployed_has_its_schedules_off(server: Server, name: str) -> None:
    found = server.deployment(name)
    assert [schedule["active"] for schedule in found["schedules"]] == [False]
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert found["global_concurrency_limit"]["limit"] == 1


def test_deployed_again_the_triggers_are_there_once(server: Server) -> None:
    server.prefect("deploy", "--all")
    found = server.ask("/automations/filter", {})
    assert sorted(one["trigger"]["expect"][0] for one in found) == sorted(EVENTS)
    assert [one["enabled"] for one in found] == [True, True]


def test_the_event_of_a_full_batch_has_it_collected(server: Server, project: Path) -> None:
    from apps.review.events import tell_full_batches
    from apps.review.settings import load_settings

    settings = load_settings(environment={"PREFECT_API_URL": server.api}, secret_file=project / "var" / "secret")
    with open_database(f"sqlite:///{project}/var/review/review.db") as database:
        assert tell_full_batches(settings, database) == ["batch-1"]
    wait_for(lambda: server.runs("collect-reviews"), limit_s=60, what="a run that the event started", every_s=0.5)
    file = project / "data" / "feedback" / "batch-1.jsonl"
    wait_for(file.exists, limit_s=120, what="the batch file", every_s=0.5)
    (run,) = server.runs("collect-reviews")
    assert server.wait_until(run["id"], limit_s=180) == "COMPLETED"
    assert len(read_folder(file.parent)) == 3
    assert server.runs("publish-reviews") == []


def test_a_collected_batch_starts_improve_with_its_name(server: Server) -> None:
    (run,) = wait_for(lambda: server.runs("improve"), limit_s=60, what="a run that the event started", every_s=0.5)
    assert run["parameters"] == {"batch": "batch-1"}
    (event,) = wait_for(lambda: server.events(EVENTS[1]), limit_s=30, what="the event among those kept", every_s=0.5)
    assert event["resource"]["prefect.resource.id"] == "fledgling.feedback.batch-1"
    assert (event["payload"]["file"], event["payload"]["rows"]) == ("data/feedback/batch-1.jsonl", 3)
    assert server.wait_until(run["id"]) == "FAILED"  # this folder is not under DVC
    server.says(run["id"], "Encountered exception during execution: dvc: you are not inside of a DVC repository")
    assert "Traceback" not in server.lines(run["id"])
    assert "dvc: you are not inside of a DVC repository" in server.ask(f"/flow_runs/{run['id']}")["state"]["message"]


def test_collected_again_nothing_is_told(server: Server) -> None:
    run = server.run("collect-reviews")
    assert server.wait_until(run) == "COMPLETED"
    server.says(run, "no batch is full")
    assert len(server.events(EVENTS[1])) == 1
    assert len(server.runs("improve")) == 1


def test_before_the_first_champion_nothing_drifts(server: Server) -> None:
    run = server.run("drift")
    assert server.wait_until(run, limit_s=180) == "COMPLETED"
    server.says(run, "there is no champion yet")


def test_what_drifts_is_an_event_with_figures_in_mlflow(server: Server, project: Path) -> None:
    accepted = project / "run" / "answers.jsonl"
    write_lines(accepted, [item("aligned", "a boat")])
    write_champion(project / "champion", champion(accepted), accepted)
    old, now = datetime.now(UTC) - timedelta(days=40), datetime.now(UTC)
    with open_database(f"sqlite:///{project}/var/review/review.db") as database, database.session() as session:
        session.add(to_row(reply(1000, created_at=old)))
        session.add_all(to_row(reply(at, said="Quantum ledgers amortise." * 9, created_at=now)) for at in range(40))
    run = server.run("drift")
    assert server.wait_until(run, limit_s=180) == "COMPLETED"
    server.says(run, "1 replies were older than 30 days and are deleted")
    (event,) = wait_for(lambda: server.events("fledgling.drift.alert"), limit_s=30, what="the alert", every_s=0.5)
    assert event["payload"]["versions"] == {"3": 40}
    assert any("new words" in line for line in event["payload"]["alerts"])
    client = MlflowClient(tracking_uri=f"sqlite:///{project}/var/mlflow/mlflow.db")
    (found,) = client.search_runs(["1"], filter_string="tags.kind = 'drift'")
    assert found.data.metrics["drift/replies"] == 40
    (artifact,) = server.ask("/artifacts/filter", {"artifacts": {"key": {"any_": ["drift"]}}})
    assert "| new word share |" in artifact["data"]
