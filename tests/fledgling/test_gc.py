"""`fledgling gc`: only what nobody needs, and only where it is asked for."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fledgling.gc import collect_garbage
from tasks.keeping.cache import Cache
from tasks.keeping.rubbish import CACHE_KIND, CHECKPOINT_KIND, MLFLOW_KIND, find
from tasks.registry import store
from tasks.registry.versions import NAME
from tasks.serving.versions import find as find_model
from tests.conftest import refused
from tests.fledgling.test_backup import inside
from tests.tasks.keeping.small import MODEL, dvc, make_platform

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
LONG_AGO = time.time() - 30 * 86_400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small platform with a champion."""
    folder = tmp_path_factory.mktemp("platform")
    with inside(folder):
        make_platform(tmp_path_factory.mktemp("scratch"))
    return folder


@pytest.fixture
def platform(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it that is the working folder, all of it old."""
    folder = tmp_path / "platform"
    shutil.copytree(made, folder)
    with inside(folder):
        for path in Path(".dvc/cache").rglob("*"):
            os.utime(path, (LONG_AGO, LONG_AGO))
        yield folder


def row(told: str, kind: str) -> tuple[int, int]:
    """Items and bytes of a kind in the table."""
    found = re.search(rf"^{re.escape(kind)} +([\d,]+) +([\d,]+)$", told, re.MULTILINE)
    assert found, told
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def put(content: bytes, md5: str, *, old: bool = True) -> Path:
    """An object of the cache that nothing names."""
    path = Cache().place(md5)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if old:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_of_a_platform_in_use_nothing_goes(platform: Path) -> None:
    told = collect_garbage(remove=True, days=0, clones=())
    assert row(told, "together") == (0, 0)
    assert "up to date" in dvc("status")
    assert find_model("champion").told == "fledgling/1"


def test_a_dry_run_removes_nothing(platform: Path) -> None:
    orphan = put(b"12345", "ab" * 16)
    told = collect_garbage(remove=False, days=7, clones=())
    assert row(told, CACHE_KIND) == (1, 5)
    assert "nothing was removed" in told
    assert orphan.exists()
    assert row(collect_garbage(remove=True, days=7, clones=()), CACHE_KIND) == (1, 5)
    assert not orphan.exists()


def test_what_is_young_may_be_of_a_run_now(platform: Path) -> None:
    put(b"12345", "cd" * 16, old=False)
    assert row(collect_garbage(remove=True, days=7, clones=()), CACHE_KIND) == (0, 0)


@pytest.mark.slow
def test_an_old_champions_bytes_stay_when_the_chain_went_on(platform: Path) -> None:
    """dvc.lock names another model by now: the champion's is named by its own dvc.lock, which its commit holds."""
    from tests.tasks.keeping.small import run

    run("git", "add", "--force", "dvc.lock")
    run("git", "commit", "--quiet", "--message", "The champion's lock")
    commit = run("git", "rev-parse", "HEAD").strip()
    store.connect().set_model_version_tag(NAME, "1", "git_commit", commit)
    before = set(Cache().objects())
    (MODEL / "config.json").write_text("{}")
    dvc("commit --force --quiet")
    assert row(collect_garbage(remove=True, days=0, clones=()), CACHE_KIND) == (0, 0)
    assert before < set(Cache().objects())


def test_where_a_champions_lock_is_not_known_nothing_is_guessed(platform: Path) -> None:
    store.connect().set_model_version_tag(NAME, "1", "dvc_lock_hash", "0" * 64)
    put(b"12345", "ef" * 16)
    with refused("the dvc.lock of version 1 .* is not in this clone"):
        collect_garbage(remove=True, days=7, clones=())
    assert Cache().place("ef" * 16).exists()


@pytest.mark.slow
def test_a_shared_cache_is_left_alone_until_everybody_is_named(platform: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shutil.move(".dvc/cache", shared)
    dvc(f"config --local cache.dir {shared}")
    orphan, theirs = put(b"1", "12" * 16), put(b"22", "a4" * 16)
    told = collect_garbage(remove=True, days=7, clones=())
    assert "name who shares it with --clone" in told
    assert row(told, CACHE_KIND) == (0, 0)
    other = tmp_path / "other"
    other.mkdir()
    with refused("no clone of the project"):
        collect_garbage(remove=True, days=7, clones=(other,))
    (other / "dvc.yaml").touch()
    (other / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: o\n      md5: {'a4' * 16}\n"
    )
    assert row(collect_garbage(remove=True, days=7, clones=(other,)), CACHE_KIND) == (1, 1)
    assert theirs.exists()
    assert not orphan.exists()


def test_only_old_checkpoints_go(platform: Path) -> None:
    for name, old in (("old", True), ("new", False)):
        folder = Path("var/checkpoints/pretrain") / name
        folder.mkdir(parents=True)
        (folder / "7.safetensors").write_bytes(b"1234567")
        if old:
            for path in (folder / "7.safetensors", folder):
                os.utime(path, (LONG_AGO, LONG_AGO))
    assert row(collect_garbage(remove=True, days=7, clones=()), CHECKPOINT_KIND) == (1, 7)
    assert [path.name for path in Path("var/checkpoints/pretrain").iterdir()] == ["new"]


def test_deleted_runs_go_with_their_files_and_a_versions_run_does_not(platform: Path) -> None:
    client = store.connect()
    champions = client.get_model_version(NAME, "1").run_id
    run = client.create_run(store.experiment_id(client))
    client.log_text(run.info.run_id, "12345", "notes.txt")
    client.delete_run(run.info.run_id)
    client.delete_run(champions)
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert folder.is_dir()
    assert row(collect_garbage(remove=False, days=7, clones=()), MLFLOW_KIND) == (0, 0)
    assert [rubbish.name for rubbish in find(days=0).rubbish] == [run.info.run_id]
    assert row(collect_garbage(remove=True, days=0, clones=()), MLFLOW_KIND) == (1, 5)
    assert not folder.exists()
    assert find(days=0).rubbish == ()
    client.restore_run(champions)
    assert find_model("champion").told == "fledgling/1"
