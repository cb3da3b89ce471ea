"""Fixtures that many tests share, and one closing line on what could not be run on this machine."""

import contextlib
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.records import Record, RecordWriter, write_records
from tasks.stage import UserError
from tasks.telemetry import OFF

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads that wait for each other: 5 to 10 times slower

ROOT = Path(__file__).resolve().parents[1]
MISSING = "missing on this machine: "

# `python -m tasks.NAME`, but for the built-in stories: they are long to read, and tested on their own
WITHOUT_STORYBOOK = """
import runpy, sys
from tasks import sources
sources.storybook_holdout = lambda: iter(())
name = sys.argv.pop(1)
runpy.run_module(f"tasks.{name}", run_name="__main__", alter_sys=True)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def skip_missing(what: str) -> Any:
    """Skips the test, and has the closing line of the run say that it did not run and why."""
    pytest.skip(MISSING + what)


@contextlib.contextmanager
def refused(match: str) -> "Generator[pytest.ExceptionInfo[UserError]]":
    """What a user did wrong is told in one line, which matches."""
    with pytest.raises(UserError, match=match) as raised:
        yield raised
    assert "\n" not in str(raised.value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What two processes of `make test` share out: the chain's tests as one group, all else by file.

    The chain's share fixtures that take minutes; a file shares its module's. By groups that the tests are marked
    with (`loadgroup`) pytest-xdist 3.8 shares out single tests: pytest 9.2 does not tell it the names it gave them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc,unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return "chain" if nodeid.startswith("tests/e2e/") else nodeid.split("::")[0]

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost, so that the line comes last
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """One line for the tests that did not run because something is missing: never a silent pass."""
    yield
    by_reason: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        found = re.search(re.escape(MISSING) + r"(.*)", str(report.longrepr[-1] if report.longrepr else ""))
        if found:
            by_reason[found[1]] += 1
    if by_reason:
        told = "; ".join(f"{count} for want of {reason}" for reason, count in sorted(by_reason.items()))
        terminalreporter.write_line(f"NOT RUN: {sum(by_reason.values())} tests: {told}", yellow=True)


@pytest.fixture(scope="session")
def dirty() -> Path:
    """The folder of broken files that may lie beside the project (FLEDGLING_SHARED or ../shared)."""
    folder = Path(os.environ.get("FLEDGLING_SHARED", ROOT.parent / "shared")) / "data" / "dirty"
    if not folder.is_dir():
        skip_missing("../shared/data/dirty (or FLEDGLING_SHARED)")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working folder and the home folder of the test."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it where a test asks it in this process
    return folder


@pytest.fixture
def run_stage(workspace: Path) -> Run:
    """Runs `python -m tasks.NAME ...` in the workspace, as a user does."""

    def run(name: str, *arguments: object, **extra: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **OFF, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **extra}
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_STORYBOOK, name, *map(str, arguments)],
            cwd=workspace, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def sentences(count: int, *, start: int = 0) -> list[str]:
    """Short stories, each different, of a small vocabulary."""
    names = ["Mina", "Ola", "Tom", "Sue", "Ben"]
    things = ["a red ball", "an old boat", "a tiny bird", "the big drum", "a warm hat", "some sweet jam"]
    places = ["in the garden", "by the lake", "under the bed", "on the hill"]
    ends = ["It was fun.", "They laughed.", "Then they went home.", "The sun shone.", "Nobody was sad."]
    return [
        f"Story {n}. One day, {names[n % 5]} found {things[n * 7 % 6]} {places[n * 3 % 4]}. "
        f'"Look at it!" said {names[(n + 2) % 5]}. {ends[n * 2 % 5]} {ends[(n * 3 + 1) % 5]} '
        f"They played until the evening, and {names[n * 3 % 5]} never forgot the day number {n}."
        for n in range(start, start + count)
    ]


def records(texts: Iterable[str], **fields: Any) -> list[Record]:
    """A record of each text."""
    return [Record(text=text, **{"source": "tests", "licence": "CC0-1.0", **fields}) for text in texts]


def write_clean(folder: Path, splits: Mapping[str, Iterable[str]], *, rejected: Iterable[str] = ()) -> Path:
    """A folder of clean splits as `prepare` makes it; beside it rejected.parquet, all of it unsafe."""
    import pyarrow as pa

    from tasks.records import SCHEMA

    for split, texts in splits.items():
        write_records(folder / f"{split}.parquet", records(texts))
    schema = SCHEMA.append(pa.field("reason", pa.string())).append(pa.field("detail", pa.string()))
    with RecordWriter(folder.parent / "rejected.parquet", schema) as writer:
        for record in records(rejected):
            row = {name: getattr(record, name) for name in SCHEMA.names}
            writer.write({**row, "reason": "unsafe", "detail": "a word"})
    return folder


@pytest.fixture
def clean(workspace: Path) -> Path:
    """The clean splits, of short stories."""
    return write_clean(
        workspace / "data" / "clean",
        {
            "train": sentences(160),
            "validation": sentences(12, start=200),
            "test": sentences(12, start=300),
            "written": sentences(8, start=400),
            "judge_a": sentences(12, start=600),
            "judge_b": sentences(12, start=700),
        },
        rejected=sentences(2, start=500),
    )
