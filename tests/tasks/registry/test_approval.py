"""What a person is asked before a release: the evidence of the version that is meant, and what a no leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.registry import store
from tasks.registry.approval import champion_now, decline, question, version_meant
from tasks.registry.gated import FOLDER
from tests.conftest import refused
from tests.tasks.registry.versions import make_version, named, tags

PAGE = "# gate: promote\n\nIt is ahead of base.\n\n## Tasks\n\n| task | difference |\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two versions at the gate, the second one rejected, and a champion in the registry that is the first."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for number, decision in ((1, "promote"), (2, "rejected")):
            make_version(folder, number, gate_decision=decision, model="aligned")
            run = store.connect().get_model_version("fledgling", str(number)).run_id
            store.connect().log_text(run, PAGE, f"{FOLDER}/gate.md")
        yield folder


def test_the_version_that_is_meant(registry: Path) -> None:
    assert [version_meant(version) for version in ("1", "candidate", None)] == [1, 2, 2]
    with refused("no version or alias '7'"):
        version_meant("7")


def test_the_evidence_is_the_gates_page_under_a_heading_of_its_own(registry: Path) -> None:
    assert champion_now() is None
    told = question(1).evidence
    assert told.startswith("# Shall fledgling version 1 become the champion?\n")
    assert "The champion is none yet" in told
    assert "- model: `aligned`" in told
    assert "- git_commit: `commit-1`" in told
    assert told.endswith("## gate: promote\n\nIt is ahead of base.\n\n### Tasks\n\n| task | difference |\n")
    store.connect().set_registered_model_alias("fledgling", "champion", "2")
    try:
        assert champion_now() == 2
        assert "The champion is version 2." in question(1).evidence
    finally:
        store.connect().delete_registered_model_alias("fledgling", "champion")


def test_what_the_gate_does_not_speak_for_is_nobodys_to_approve(registry: Path) -> None:
    with refused("the gate says 'rejected' of version 2.*`fledgling promote 2 --despite REASON`"):
        question(2)


def test_a_no_stays_on_the_version_and_moves_nothing(registry: Path) -> None:
    decline(1, by="ben", comment="too short")
    assert (tags(1)["gate_declined_by"], tags(1)["gate_declined_comment"]) == ("ben", "too short")
    assert tags(1)["gate_declined_at"].endswith("+00:00")
    decline(1, by="cem")
    assert (tags(1)["gate_declined_by"], tags(1)["gate_declined_comment"]) == ("cem", "none")
    assert named() == {"champion": None, "previous_champion": None}
