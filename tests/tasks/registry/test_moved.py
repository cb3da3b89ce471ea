"""A workspace that is moved takes its models along."""

import sqlite3
import sys
from pathlib import Path

import pytest

from fledgling.generate import continuation
from tasks.register import register
from tasks.registry import moved, store
from tests.tasks.registry.conftest import command

pytestmark = pytest.mark.filterwarnings(  # MLflow of its own classes and of its own use of pandas
    "ignore:.*type hint:UserWarning", "ignore:Operation with range is deprecated"
)


WRITE_A_NOTE = """
import sys
from tasks.registry import store
store.connect().log_text(sys.argv[1], "written later", "note.txt")
"""


def dump(database: Path) -> str:
    connection = sqlite3.connect(database)
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_a_moved_workspace_reads_and_writes_where_it_is(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = register(None)
    before = files(chain / store.ARTIFACTS)
    there = chain.parent / "moved here"
    chain.rename(there)
    monkeypatch.chdir(there)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # which MLflow set for this process: another one starts without

    command(there, sys.executable, "-W", "ignore", "-c", WRITE_A_NOTE, first.run_id)
    told = continuation("Once", max_tokens=3, temperature=0.0, seed=0, version=str(first.version))

    assert isinstance(told, str)
    assert {path.name for path in files(there / store.ARTIFACTS) - before} == {"note.txt"}
    assert not chain.exists()
    text = dump(there / store.DATABASE)
    assert str(there.as_uri()) in text
    assert f"{chain.as_uri()}/" not in text
    assert moved.follow(store.DATABASE, store.ARTIFACTS, experiment=store.EXPERIMENT) is False


def test_a_database_without_its_artifacts_is_left_alone(chain: Path) -> None:
    register(None)
    before = dump(store.DATABASE)
    assert moved.follow(store.DATABASE, chain.parent / "elsewhere", experiment=store.EXPERIMENT) is False
    assert dump(store.DATABASE) == before
