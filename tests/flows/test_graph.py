"""The graph as DVC knows it, in a repository made for the test."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.graph import Chain, Policy, read_chain
from tasks.stage import UserError
from tests.conftest import refused
from tests.e2e.workspace import wait_for

DVC_YAML = """
stages:
  count:
    desc: how many
    cmd: wc -l < words.txt > count.txt
    deps: [words.txt]
    outs: [count.txt]
  words:
    cmd: cat given.txt extra.txt > words.txt
    deps: [given.txt, extra.txt]
    params: [words]
    outs: [words.txt]
    meta: {retries: 2, retry_delay_s: 10, time_limit_s: 60, tags: [data, network]}
  backwards:
    cmd: tac words.txt > backwards.txt && echo 1 > figures.json
    deps: [words.txt]
    outs: [backwards.txt]
    metrics: [figures.json]
  alone:
    cmd: echo 1 > alone.txt
    outs: [alone.txt]
"""


@pytest.fixture
def repo(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(name, str(workspace.parent / name.lower()))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    subprocess.run(["git", "init", "--quiet"], check=True)
    from dvc.repo import Repo

    with Repo.init():
        pass
    (workspace / "dvc.yaml").write_text(DVC_YAML)
    (workspace / "params.yaml").write_text("words: 1\nother: 1\n")
    (workspace / "given.txt").write_text("one\ntwo\n")
    (workspace / "extra.txt").write_text("three\n")
    with Repo() as opened:
        opened.add("extra.txt")  # a tracked file, as a batch of feedback is: a .dvc file has no command
    return workspace


def reproduce() -> None:
    from dvc.repo import Repo

    with Repo() as opened:
        opened.reproduce()


def test_order_edges_and_policies(repo: Path) -> None:
    chain = read_chain()
    assert set(chain.names) == {"count", "words", "backwards", "alone"}
    assert chain.names.index("words") < min(chain.names.index("count"), chain.names.index("backwards"))
    by_name = {stage.name: stage for stage in chain.stages}
    assert by_name["count"].upstream == by_name["backwards"].upstream == ("words",)
    assert by_name["words"].upstream == ()
    assert by_name["words"].policy == Policy(retries=2, retry_delay_s=10, time_limit_s=60, tags=("data", "network"))
    assert by_name["count"].policy == Policy()
    assert by_name["count"].description == "how many"
    assert by_name["backwards"].metrics == ("figures.json",)
    assert by_name["backwards"].outs == ("backwards.txt",)
    assert by_name["words"].params == ("words",)


def test_what_is_stale_and_what_follows_from_it(repo: Path) -> None:
    assert read_chain().stale == {"count", "words", "backwards", "alone"}
    reproduce()
    fresh = read_chain()
    assert fresh.stale == frozenset()
    assert fresh.to_run() == ()
    assert {stage.name for stage in fresh.to_run(force=True)} == set(fresh.names)
    (repo / "params.yaml").write_text("words: 1\nother: 2\n")
    assert read_chain().stale == frozenset()
    (repo / "params.yaml").write_text("words: 2\nother: 2\n")
    changed = read_chain()
    assert changed.stale == {"words"}
    assert {stage.name for stage in changed.to_run()} == {"words", "count", "backwards"}
    assert changed.to_run()[0].name == "words"


def test_a_changed_tracked_file_makes_its_reader_stale(repo: Path) -> None:
    reproduce()
    (repo / "extra.txt").write_text("four\n")
    assert "words" in {stage.name for stage in read_chain().to_run()}


def test_an_unknown_key_in_meta_is_refused(repo: Path) -> None:
    (repo / "dvc.yaml").write_text(DVC_YAML.replace("retry_delay_s", "retry_delay"))
    with pytest.raises(UserError, match=r"stage 'words'.*'meta\.retry_delay'.*retry_delay_s") as caught:
        read_chain()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "wrong", "told"),
    [
        ("retries: 2", "retries: two", r"'meta\.retries': .*integer; got 'two'"),
        ("retries: 2", "retries: true", r"'meta\.retries': .*integer; got True"),
        ("retries: 2", "retries: -1", r"'meta\.retries': .*greater than or equal to 0; got -1"),
        ("retry_delay_s: 10", "retry_delay_s: soon", r"'meta\.retry_delay_s': .*number; got 'soon'"),
        ("time_limit_s: 60", "time_limit_s: 0", r"'meta\.time_limit_s': .*greater than 0; got 0"),
        ("tags: [data, network]", "tags: data", r"'meta\.tags': .*; got 'data'"),
        ("tags: [data, network]", "tags: [1]", r"'meta\.tags\.0': .*string; got 1"),
        (
            "meta: {retries: 2, retry_delay_s: 10, time_limit_s: 60, tags: [data, network]}",
            "meta: no",
            "'meta' must hold keys",
        ),
    ],
)
def test_a_wrong_value_in_meta_is_one_line(repo: Path, written: str, wrong: str, told: str) -> None:
    assert written in DVC_YAML
    (repo / "dvc.yaml").write_text(DVC_YAML.replace(written, wrong))
    with pytest.raises(UserError, match=rf"^dvc\.yaml: stage 'words': {told}") as caught:
        read_chain()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["stages:\n  a: {cmd: [\n", "stages:\n  a: {deps: [b]}\n"])
def test_a_broken_declaration_is_one_line(repo: Path, broken: str) -> None:
    (repo / "dvc.yaml").write_text(broken)
    with pytest.raises(UserError, match=r"^dvc: .*dvc\.yaml") as caught:
        read_chain()
    assert "\n" not in str(caught.value)


def test_a_folder_without_dvc_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"^dvc: "):
        read_chain()


def test_a_stage_that_runs_is_one_line_or_waited_for(repo: Path) -> None:
    (repo / "dvc.yaml").write_text("stages:\n  slow: {cmd: touch on && exec sleep 60, outs: [never]}\n")
    running = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    try:
        wait_for((repo / "on").exists, limit_s=30, what="a stage that runs")
        with refused(r"^dvc: '.*never' is busy, it is being blocked by: \(PID \d+\): .*; wait for its end$"):
            read_chain()
        threading.Timer(1, kill).start()
        assert read_chain(wait=True).stale == {"slow"}
    finally:
        kill()


def test_to_run_goes_down_the_whole_chain(repo: Path) -> None:
    stages = read_chain().stages
    assert [stage.name for stage in Chain(stages=stages, stale=frozenset({"alone"})).to_run()] == ["alone"]
