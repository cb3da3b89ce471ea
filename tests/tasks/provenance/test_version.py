"""The way of a version: every part of it, also where the workspace has moved on or the bytes are gone."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tasks.dvc_hashes import dvc_md5
from tasks.provenance.artifacts import TRACE
from tasks.provenance.page import page_of
from tasks.provenance.record import PAGE
from tasks.provenance.told import tree
from tasks.provenance.version import trace_version
from tasks.provenance.way import VersionWay
from tasks.registry import store
from tasks.registry.evidence import Lock
from tasks.registry.runs import children
from tasks.registry.versions import NAME
from tests.tasks.provenance.conftest import told
from tests.tasks.registry.conftest import git

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


def way() -> VersionWay:
    return trace_version(store.connect(), 1)


def text_of(found: VersionWay) -> str:
    out = StringIO()
    Console(file=out, width=400).print(tree(found))
    return out.getvalue()


def test_the_whole_way(registered: Path) -> None:
    found = way()

    assert (found.model.version, found.model.model, found.model.aliases) == (1, "finetuned", ("candidate",))
    assert found.model.model_md5 == dvc_md5(Path("models/finetuned"))
    assert found.code.commit == git(registered, "rev-parse", "HEAD").strip()
    assert (found.code.subject, found.code.dirty) == ("a chain", False)
    assert found.lock is not None
    assert found.lock.stages["finetune"]["models/finetuned"] == found.model.model_md5
    assert found.runs.chain is not None
    assert {run.stage for run in found.runs.stages} == {"ingest", "mix", "pair", "finetune", "evaluate", "gate"}
    assert found.gate is not None
    assert (found.gate.decision, found.gate.champion) == ("undecided", "base")
    assert found.gate.reasons == ("the first reason", "it is undecided")
    assert [event.what for event in found.history] == ["registered"]
    assert (found.not_found, found.from_registration) == ((), ())


def test_what_it_learnt_from(registered: Path) -> None:
    found = way()

    assert found.preferences is not None
    assert (found.preferences.pairs, found.preferences.judges) == (5, {"heuristic-a@1": 3})
    (learnt,) = found.batches
    assert (learnt.batch, learnt.preferences, learnt.examples) == ("b", 2, 1)
    assert [(file.file, file.decisions) for file in learnt.files] == [("data/feedback/b.jsonl", 4)]
    assert found.instructions is not None
    instructions = {source.name: (source.licence, source.what, source.rows) for source in found.instructions}
    assert instructions["own-questions"] == ("CC0-1.0", "questions/*.jsonl", {"train": 1})
    assert instructions["feedback"] == ("CC0-1.0", "answers that people corrected or rated highly", {"train": 1})
    (corpus,) = found.corpus or ()
    assert (corpus.name, corpus.licence, corpus.what) == (
        "storybook-written",
        "Apache-2.0",
        "someone/stories at abc123",
    )
    assert corpus.rows == {"train": 30, "validation": 3, "test": 4, "written": 5}


def test_the_release_is_in_its_history(registered: Path) -> None:
    client = store.connect()
    for key, value in {
        "promoted_by": "Ada", "promoted_at": "2030-01-02T03:04:05+00:00", "promoted_over": "none",
        "promoted_despite": "we know better", "rolled_back_by": "Ben", "rolled_back_at": "2030-01-03T03:04:05+00:00",
        "rolled_back_reason": "none",
    }.items():  # fmt: skip
        client.set_model_version_tag(NAME, "1", key, value)

    assert [(event.what, event.by, event.note) for event in way().history[1:]] == [
        ("promoted", "Ada", "as the first champion, despite the gate: we know better"),
        ("rolled back", "Ben", ""),
    ]


def test_a_workspace_that_has_moved_on_tells_the_same_of_what_was(registered: Path) -> None:
    before = way()
    for path in ("dvc.lock", "params.yaml"):
        Path(path).unlink()
    for path in ("data/pairs", "data/mixture", "data/clean"):
        shutil.rmtree(path)

    assert way() == before


def test_what_is_not_here_is_told_as_it_was_when_it_was_registered(registered: Path) -> None:
    before = way()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/pairs")

    found = way()

    assert found.preferences == before.preferences
    assert found.batches == before.batches
    assert found.from_registration == ("preferences", "batches")
    assert found.not_found == (
        f"data/pairs as {Lock().outs['data/pairs'][:8]}: in neither the workspace nor DVC's cache; "
        "`dvc fetch` brings it from a remote",
    )
    assert "told as it was when it was registered" in text_of(found)


def test_where_nothing_is_left_but_the_registry(registered: Path, tmp_path: Path) -> None:
    before = way()
    for path in (".git", ".dvc", "data", "dvc.lock", "models"):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()

    found = way()

    assert (found.lock, found.corpus, found.preferences) == (before.lock, before.corpus, before.preferences)
    assert found.not_found[0].startswith("dvc.lock as ")
    assert found.code.subject is None


def test_a_run_that_an_earlier_chain_made_is_told_for_a_stage_that_was_not_stale(registered: Path) -> None:
    client = store.connect()
    chain = client.get_model_version(NAME, "1").run_id
    (mix,) = (run for run in children(client, chain) if run.data.tags["stage"] == "mix")
    client.set_tag(mix.info.run_id, "mlflow.parentRunId", "another chain")

    runs = {run.stage: run for run in way().runs.stages}
    assert (runs["mix"].id, runs["mix"].is_of_chain) == (mix.info.run_id, False)

    client.set_tag(mix.info.run_id, "outs_key", "it made other bytes")
    assert "mix" not in {run.stage for run in way().runs.stages}


def test_json_is_read_back(registered: Path) -> None:
    found = way()
    assert VersionWay.model_validate_json(found.model_dump_json()) == found
    assert json.loads(found.model_dump_json())["kind"] == "version"


def test_the_tree_names_every_part(registered: Path) -> None:
    found = way()
    text = text_of(found)
    for part in (
        "fledgling version 1 (candidate): the finetuned model", "gate: undecided beside base", "a chain",
        "dvc exp apply fledgling-", "someone/stories at abc123", "judge heuristic-a@1: 3", "not learnt from: tie 1",
        "batch b: 2 preferences and 1 example of 4 decisions by reader-abc123 4", found.model.model_md5[:8],
    ):  # fmt: skip
        assert part in text


def test_registering_writes_the_page_and_the_same_with_the_run(registered: Path) -> None:
    found = way()
    artifacts = {file.path for file in store.connect().list_artifacts(found.runs.chain.id if found.runs.chain else "")}
    assert {"trace.html", "trace.json"} <= artifacts
    assert VersionWay.model_validate(told(PAGE.with_name(TRACE)), strict=False).lock == found.lock
    assert "Where fledgling version 1 comes from" in PAGE.read_text()


def test_the_page_asks_for_nothing_and_escapes_what_strangers_wrote(registered: Path) -> None:
    store.connect().set_model_version_tag(NAME, "1", "promoted_by", "<script>alert(1)</script>")
    store.connect().set_model_version_tag(NAME, "1", "promoted_at", "2030-01-02T03:04:05+00:00")
    page = page_of(way())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert page == page_of(way())
    assert "questions/*.jsonl" in page


def test_the_lock_is_found_in_the_commit_or_in_the_workspace_where_there_is_no_experiment(registered: Path) -> None:
    client = store.connect()
    commit = client.get_model_version(NAME, "1").tags["git_commit"]
    client.set_model_version_tag(NAME, "1", "dvc_exp_commit", "none: not saved")
    places = [way().lock]
    client.set_model_version_tag(NAME, "1", "git_commit", "none")
    places.append(way().lock)
    Path("dvc.lock").write_text("stages: {}\n")
    assert [place.found for place in places if place] == [f"commit {commit[:8]}", "the workspace"]
    assert way().from_registration[0] == "lock"
