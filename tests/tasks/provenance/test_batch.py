"""The way of a batch: who decided, and which versions learnt from it."""

import shutil
from pathlib import Path

import pytest

from tasks.provenance.batch import trace_batch
from tasks.provenance.page import page_of
from tasks.provenance.verify import verify_files
from tasks.registry import store

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")


def test_a_batch_names_the_versions_that_learnt_from_it(registered: Path) -> None:
    way = trace_batch(store.connect(), "b")
    (learner,) = way.learners
    assert (learner.version, learner.aliases) == (1, ("candidate",))
    assert (learner.preferences, learner.examples) == (2, 1)
    assert [(file.file, file.kinds) for file in way.files] == [("data/feedback/b.jsonl", {"choice": 4})]
    assert way.not_found == ()
    assert "version 1" in page_of(way)


def test_a_version_that_did_not_is_not_named(registered: Path) -> None:
    assert trace_batch(store.connect(), "another").learners == ()


def test_what_was_told_when_it_was_registered_is_enough(registered: Path) -> None:
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/pairs")
    assert [one.version for one in trace_batch(store.connect(), "b").learners] == [1]


def test_a_version_of_which_nothing_is_known_is_named_as_such(registered: Path) -> None:
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/pairs")
    for path in store.ARTIFACTS.rglob("trace.json"):
        path.unlink()
    assert trace_batch(store.connect(), "b").not_found == ("version 1: what it learnt from is not here",)


def test_without_a_registry_its_files_are_told(registered: Path) -> None:
    way = trace_batch(None, "b")
    assert (len(way.files), way.learners) == (1, ())
    assert [check.state for check in verify_files(way.files)] == ["ok", "ok"]
