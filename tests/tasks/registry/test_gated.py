"""What the gate's decision leaves on a model version, and that another decision makes no other version."""

from pathlib import Path

import pytest

from tasks.gating.champion import read_champion
from tasks.register import NAME, register
from tasks.registry import store
from tasks.registry.evidence import Lock
from tasks.registry.release import promote
from tests.conftest import refused
from tests.tasks.registry.conftest import dvc, git, write_model
from tests.tasks.registry.versions import GATE_STAGE, named, tags, write_gate

pytestmark = pytest.mark.filterwarnings(  # MLflow of its own classes and of its own use of pandas
    "ignore:.*type hint:UserWarning", "ignore:Operation with range is deprecated"
)


@pytest.fixture
def gated(chain: Path) -> Path:
    """The finished chain with a gate that was undecided."""
    with (chain / "dvc.yaml").open("a") as file:
        file.write(GATE_STAGE)
    decide(chain, "undecided")
    return chain


def decide(folder: Path, decision: str, champion: str = "base") -> None:
    """The gate decides, and dvc.lock says so."""
    write_gate(folder, decision=decision, champion=champion)
    dvc(folder, "commit", "-q", "-f")


def gate_tags(number: int) -> dict[str, str]:
    return {key: value for key, value in tags(number).items() if key.startswith("gate_")}


def test_a_version_holds_what_the_gate_said(gated: Path) -> None:
    registered = register(None)

    assert registered.decision == "undecided"
    assert registered.line.endswith("; the gate says 'undecided'")
    assert gate_tags(1) == {
        "gate_decision": "undecided", "gate_champion": "base", "gate_reasons": "the first reason; it is undecided",
    }  # fmt: skip
    there_are = [file.path for file in store.connect().list_artifacts(registered.run_id, "gate")]
    assert there_are == ["gate/answers.jsonl", "gate/candidate.json", "gate/gate.json", "gate/gate.md"]


def test_another_decision_is_the_same_version(gated: Path) -> None:
    before, bound = Lock().content_key(), register(None)
    kept = tags(1)["dvc_exp_commit"]
    decide(gated, "promote", champion="fledgling/7")

    registered = register(None)

    assert Lock().content_key() == before
    assert (tags(1)["dvc_exp_commit"], tags(1)["dvc_lock_hash"]) == (kept, bound.lock_hash)
    assert kept in git(gated, "for-each-ref", "refs/exps", "--format=%(objectname)").split()  # nothing prunes it
    assert (registered.version, registered.decision) == (1, "promote")
    assert len(store.connect().search_model_versions(f"name='{NAME}'")) == 1
    assert (gate_tags(1)["gate_decision"], gate_tags(1)["gate_champion"]) == ("promote", "fledgling/7")


def test_what_the_gate_says_of_the_champion_itself_is_not_kept(gated: Path) -> None:
    decide(gated, "promote")
    register(None)
    promote("1", by="Anna")
    decide(gated, "undecided", champion="fledgling/1")

    assert register(None).decision is None
    assert gate_tags(1)["gate_decision"] == "promote"
    assert named()["champion"] == 1
    champion = read_champion()
    assert champion is not None
    assert (champion.model, champion.model_md5) == ("finetuned", Lock().outs["models/finetuned"])
    assert champion.content_key == tags(1)["content_key"]


def test_a_decision_about_other_bytes_is_left_out(gated: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_model(gated / "models" / "finetuned", seed=2)
    dvc(gated, "commit", "-q", "-f")

    assert register(None).decision is None
    assert gate_tags(1) == {}
    assert "the gate judged another model than version 1" in caplog.text
    with refused("version 1 was not at the gate"):
        promote("1", by="Anna", despite="it is good")


def test_a_decision_that_is_not_the_locks_is_refused(gated: Path) -> None:
    (gated / "metrics" / "gate.json").write_text('{"decision": "promote", "reasons": [], "champion": "base"}')
    with refused(r"metrics/gate\.json is not what dvc\.lock says it is"):
        register(None)


def test_a_chain_without_a_gate_is_registered_as_ever(chain: Path) -> None:
    assert register(None).decision is None
    assert gate_tags(1) == {}
