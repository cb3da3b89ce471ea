"""`fledgling backup` and `fledgling restore`: a platform copied, and served again from the copy."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from fledgling.backup import back_up_into, restore_from
from fledgling.generate import continuation
from fledgling.platform import addresses
from tasks.dvc_hashes import dvc_md5
from tasks.gating.champion import read_champion
from tasks.keeping.backup import back_up
from tasks.keeping.manifest import NAME as MANIFEST
from tasks.registry import store
from tasks.reviews.database import open_database
from tasks.reviews.tables import Reviewer
from tasks.serving.versions import find
from tests.conftest import refused
from tests.tasks.keeping.small import MODEL, dvc, make_platform, run

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION",
             "PREFECT_API_DATABASE_CONNECTION_URL", "FLEDGLING_REVIEW_DATABASE", "FLEDGLING_RELOAD_URL")  # fmt: skip


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The folder is the working folder, its databases those in var/."""
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small platform with a champion."""
    folder = tmp_path_factory.mktemp("platform")
    with inside(folder):
        make_platform(tmp_path_factory.mktemp("scratch"))
    return folder


@pytest.fixture(scope="module")
def backup(platform: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it, taken once."""
    made = tmp_path_factory.mktemp("backups") / "first"
    with inside(platform):
        back_up_into(made, inside=False, keep=None)
    return made


@pytest.fixture
def clone(platform: Path, tmp_path: Path) -> Iterator[Path]:
    """A fresh clone, the working folder of the test."""
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", str(platform), str(folder))
    with inside(folder):
        yield folder


def said() -> str:
    return continuation("Once upon", max_tokens=6, temperature=0.0, seed=0, version="champion")


def test_the_champion_is_served_again_from_a_fresh_clone(platform: Path, backup: Path, clone: Path) -> None:
    with inside(platform):
        before, md5 = said(), dvc_md5(MODEL)
    assert "champion fledgling/1" in restore_from(backup)
    assert said() == before
    found = find("champion")
    assert (found.told, found.model_md5) == ("fledgling/1", md5)
    champion = read_champion()
    assert champion is not None
    assert champion.version == 1
    assert store.connect().get_run(store.connect().get_model_version("fledgling", "1").run_id).info.artifact_uri == (
        f"{store.ARTIFACTS.absolute().as_uri()}/{store.connect().get_model_version('fledgling', '1').run_id}/artifacts"
    )


def test_everything_else_is_back_too(backup: Path, clone: Path) -> None:
    restore_from(backup)
    with open_database() as database, database.reading() as session:
        assert session.scalars(select(Reviewer.name)).all() == ["Ann"]
    with contextlib.closing(sqlite3.connect("var/prefect/prefect.db")) as prefect:
        assert prefect.execute("SELECT name FROM flow_run").fetchall() == [("busy-owl",)]
    assert Path("data/feedback/judged-2026-11-22.jsonl").read_text() == '{"schema_version": 1}\n'
    assert (MODEL / "model.safetensors").exists()
    assert "up to date" in dvc("status")
    assert "refs/exps/12/3456/fledgling-1" in run("git", "for-each-ref", "refs/exps")


def test_it_may_be_taken_while_a_database_is_written(platform: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(platform, folder)
    with inside(folder), contextlib.closing(sqlite3.connect("var/review/review.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE reviewers SET name = 'half done'")
        back_up(tmp_path / "backup")
        with contextlib.closing(sqlite3.connect(tmp_path / "backup/databases/reviews.sqlite")) as copy:
            assert copy.execute("SELECT name FROM reviewers").fetchall() == [("Ann",)]
        writer.rollback()


def test_no_secret_is_in_it(platform: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(platform, folder)
    for path in (".env", "var/secrets.env", "var/review/secret"):
        (folder / path).write_text("canary-4711")
    with inside(folder):
        told = back_up_into(tmp_path / "backup", inside=False, keep=None)
    assert "secrets" in told
    assert not [path for path in (tmp_path / "backup").rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


def test_a_platform_that_holds_something_stays_as_it_is(platform: Path, backup: Path, clone: Path) -> None:
    with open_database() as database, database.session():
        pass
    with refused("review.db: holds something already; a backup is restored into an empty platform only"):
        restore_from(backup)
    assert not store.DATABASE.exists()
    Path("var/review/review.db").unlink()
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with refused("dvc.lock: is here already"):
        restore_from(backup)
    assert not store.DATABASE.exists()


@pytest.mark.parametrize("how", ["changed", "missing", "added", "unfinished"])
def test_a_backup_that_is_not_whole_restores_nothing(backup: Path, clone: Path, tmp_path: Path, how: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(backup, broken)
    database = broken / "databases/mlflow.sqlite"
    if how == "changed":
        database.write_bytes(database.read_bytes()[:-1] + b"?")
    elif how == "missing":
        database.unlink()
    elif how == "added":
        (broken / "databases/other.sqlite").touch()
    else:
        (broken / MANIFEST).unlink()
    words = {"changed": "is not what manifest.json says", "missing": "is missing", "added": "is not of it"}
    with refused(words.get(how, "no backup")):
        restore_from(broken)
    assert not Path("var").exists()


def test_a_database_of_another_kind_is_no_place_for_it(
    backup: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEDGLING_REVIEW_DATABASE", "postgresql://me:canary-4711@127.0.0.1:1/reviews")
    with refused("database 'reviews' is sqlite, and here it is postgresql") as raised:
        restore_from(backup)
    assert "canary" not in str(raised.value)


def test_a_running_platform_is_left_alone(backup: Path, clone: Path) -> None:
    addresses.RUNNING.parent.mkdir()
    addresses.RUNNING.write_text(json.dumps({"pid": os.getpid()}))
    with refused("the platform runs .* stop it first"):
        restore_from(backup)


def test_an_existing_folder_stays(platform: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with inside(platform), refused("is there already; a backup is a new folder"):
        back_up_into(tmp_path, inside=False, keep=None)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_newest_are_kept(platform: Path, tmp_path: Path) -> None:
    for name in ("2026-01-01T000000Z", "2026-01-02T000000Z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).touch()
    (tmp_path / "notes").mkdir()
    with inside(platform):
        back_up_into(tmp_path, inside=True, keep=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert "2026-01-01T000000Z" not in names
    assert {"2026-01-02T000000Z", "notes"} < set(names)
    assert len(names) == 3


def test_where_mlflow_keeps_its_data_is_not_guessed(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    with refused("MLflow is at http://mlflow:5000, and where its database is is not known here"):
        back_up_into(Path("backup"), inside=False, keep=None)


def test_nothing_is_no_backup(workspace: Path) -> None:
    Path("dvc.yaml").touch()
    with inside(workspace), refused("there is nothing to back up yet"):
        back_up_into(Path("backup"), inside=False, keep=None)
    assert not Path("backup").exists()


def test_as_it_is_typed(workspace: Path) -> None:
    command = [sys.executable, "-m", "fledgling.cli", "restore", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "nowhere: no backup" in done.stderr
