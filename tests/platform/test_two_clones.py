"""Two clones with a worker each and one DVC cache: two profiles trained at once, and what one made the other has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fledgling import logins
from tests.e2e.workspace import succeeded
from tests.platform.running import Platform, copy_project, platform_in

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1800)]

# `train` waits until the other clone trains too; `same` is equal in both
STAGES = """
stages:
  same:
    cmd: python same.py
    outs: [same.txt]
  train:
    cmd: python learn.py
    deps: [same.txt]
    params: [train.seed]
    outs: [learnt]
"""
SAME = """
from pathlib import Path
Path("same.txt").write_text("the same\\n" * 100_000)
"""
LEARN = """
import time
from pathlib import Path
import yaml
seed = yaml.safe_load(Path("params.yaml").read_text())["train"]["seed"]
together = Path({together!r})
(together / f"{{seed}}-{{time.monotonic_ns()}}").touch()
until = time.monotonic() + 300
while len(list(together.iterdir())) < 2:
    assert time.monotonic() < until, "the other clone did not train meanwhile"
    time.sleep(0.1)
Path("learnt").mkdir(exist_ok=True)
Path("learnt/weights").write_text(f"{{seed}}\\n" * 100_000)
"""
PROFILES = {"laptop": 1, "small-gpu": 2}  # their seeds
IGNORED = "/var\n/learnt\n/same.txt\n/lines.txt\n__pycache__\n"


@dataclass
class Clone(Platform):
    """A clone, with the programs that are run in it."""

    @property
    def environment(self) -> dict[str, str]:
        who = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {**super().environment, **who, "PATH": path}

    def command(self, *command: str) -> str:
        return succeeded(
            subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600, check=False
            )
        )

    def dvc(self, *arguments: str) -> str:
        return self.command("dvc", *arguments)

    def model(self) -> str:
        return (self.folder / "learnt" / "weights").read_text().splitlines()[0]

    def is_clean(self) -> bool:
        return self.dvc("status").strip() == "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the clones: their origin, DVC's cache and remote, and who trains."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("cache", "remote", "together", "origin"):
        (folder / name).mkdir()
    origin = Clone(copy_project(folder / "origin", stages=STAGES), {})
    (origin.folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (origin.folder / ".gitignore").write_text(IGNORED)
    (origin.folder / "same.py").write_text(SAME)
    (origin.folder / "learn.py").write_text(LEARN.format(together=str(folder / "together")))
    params = origin.folder / "params.yaml"
    params.write_text(params.read_text() + "train:\n  seed: 0\n")
    for name, seed in PROFILES.items():
        (origin.folder / "profiles" / f"{name}.yaml").write_text(yaml.safe_dump({"train": {"seed": seed}}))
    origin.command("git", "init", "-q", "-b", "main")
    origin.command("git", "add", "-A")
    origin.command("git", "commit", "-q", "-m", "the project")
    return folder


def cloned(place: Path, name: str, *, shared: bool = True, **extra: str) -> Clone:
    """A clone as docs/scale-out.md makes one. shared: with the cache that the clones share."""
    subprocess.run(["git", "clone", "-q", str(place / "origin"), str(place / name)], check=True, timeout=120)
    made = Clone(place / name, extra)
    made.dvc("remote", "add", "--local", "--default", "shared", str(place / "remote"))
    if shared:
        made.dvc("cache", "dir", "--local", str(place / "cache"))
        made.dvc("config", "--local", "cache.shared", "group")
    return made


@pytest.fixture(scope="module")
def clones(place: Path) -> Iterator[tuple[Clone, Clone]]:
    """Two of them: one with the platform, one with a worker for it."""
    with platform_in(cloned(place, "first").folder) as platform:
        first = Clone(platform.folder, platform.extra)
        known = {name: first.logins[name] for name in (logins.PREFECT, logins.MLFLOW_USER, logins.MLFLOW_PASSWORD)}
        second = cloned(
            place, "second", **known, FLEDGLING_POOL="second", PREFECT_API_URL=f"{first.address('prefect')}/api",
            MLFLOW_TRACKING_URI=first.address("mlflow"), **{logins.SERVE: first.logins[logins.SERVE]},
        )  # fmt: skip
        try:
            assert "deployed pipeline/second" in succeeded(second.fledgling("platform", "--only", "deploy"))
            with (place / "worker.log").open("wb") as log:
                worker = [sys.executable, "-m", "fledgling.cli", "platform", "--only", "worker"]
                second.started.append(
                    subprocess.Popen(worker, cwd=second.folder, env=second.environment, stdout=log, stderr=log)
                )
            yield first, second
        finally:
            second.end()


def started(first: Clone, deployment: str, **parameters: Any) -> str:
    found = first.prefect(f"/deployments/name/pipeline/{deployment}")
    assert found["global_concurrency_limit"]["limit"] == 1
    return str(first.prefect(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"])


def ends_well(first: Clone, run: str) -> bool:
    return first.wait_until(run, "COMPLETED", "FAILED", "CRASHED", limit_s=900) == "COMPLETED"


def trained(place: Path) -> list[str]:
    """The seed of each training that there was."""
    return sorted(path.name.partition("-")[0] for path in (place / "together").iterdir())


def test_two_profiles_at_once(clones: tuple[Clone, Clone], place: Path) -> None:
    first, second = clones
    runs = [
        started(first, "pipeline", profile="laptop", registered=False),
        started(first, "second", profile="small-gpu", registered=False),
    ]
    assert [ends_well(first, run) for run in runs] == [True, True]
    assert trained(place) == ["1", "2"]  # each was there while the other waited for it
    assert (first.model(), second.model()) == ("1", "2")
    assert first.is_clean()
    assert second.is_clean()


def test_one_mlflow_holds_both(clones: tuple[Clone, Clone]) -> None:
    first, _ = clones
    user, password = first.logins[logins.MLFLOW_USER], first.logins[logins.MLFLOW_PASSWORD]
    asked = {"experiment_ids": ["1"], "filter": "tags.kind = 'chain'"}
    answer = httpx.post(
        f"{first.address('mlflow')}/api/2.0/mlflow/runs/search", json=asked, auth=(user, password), timeout=60
    )
    found = answer.raise_for_status().json()["runs"]
    assert [run["info"]["status"] for run in found] == ["FINISHED", "FINISHED"]


def test_what_one_made_the_other_takes_from_the_cache(clones: tuple[Clone, Clone], place: Path) -> None:
    first, second = clones
    assert ends_well(first, started(first, "second", profile="laptop", registered=False))
    assert trained(place) == ["1", "2"]  # nothing was trained again
    assert second.model() == "1"
    assert second.is_clean()
    assert (second.folder / "dvc.lock").read_text() == (first.folder / "dvc.lock").read_text()


def test_what_was_pushed_a_third_machine_pulls(clones: tuple[Clone, Clone], place: Path) -> None:
    first, _ = clones
    first.dvc("push")
    first.command("git", "add", "dvc.lock", "params.yaml")
    first.command("git", "commit", "-q", "-m", "trained")
    first.command("git", "push", "-q", "origin", "HEAD:trained")
    third = cloned(place, "third", shared=False)
    third.command("git", "checkout", "-q", "trained")
    third.dvc("pull")
    assert third.model() == "1"
    assert third.is_clean()
