"""A judge is another one where what decides its verdicts is."""

import shutil
from pathlib import Path

import pytest

from tasks.judging.heuristic.revision import PACKAGE, revision
from tests.test_architecture import reached


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that may be changed."""
    copied = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def changed(package: Path, name: str) -> str:
    path = package / name
    path.write_bytes(path.read_bytes() + b"\n")
    revision.cache_clear()
    return revision(package)


def test_wherever_it_lies_it_is_the_same(package: Path) -> None:
    assert revision(package) == revision()
    assert len(revision().partition("-")[2]) == 8


def test_whatever_decides_a_verdict_makes_another_judge(package: Path) -> None:
    own = [path for path in reached(PACKAGE / "judge.py") if PACKAGE in path.parents and path.name != "train.py"]
    names = sorted(str(path.relative_to(PACKAGE)) for path in own)
    assert {"judge.py", "axes.py", "measures.py", "rules.py", "english/tokens.py"} <= set(names)
    before = revision(package)
    for name in [*names, "dangers.yaml"]:
        after = changed(package, name)
        assert after != before
        before = after


def test_how_it_learns_is_in_the_hash_of_what_it_learnt(package: Path) -> None:
    assert changed(package, "train.py") == revision()
