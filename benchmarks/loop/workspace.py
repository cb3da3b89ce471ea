"""A clone of the project in which a loop is driven: its parameters, its commands, the figures that a round left."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from benchmarks.loop.preferences import Preference
from tasks.stage import read_yaml
from tasks.telemetry import OFF

OVERLAY = Path(__file__).with_name("overlay.yaml")
TASKS = {
    "classification": "macro_f1",
    "summarization": "rouge_l",
    "translation": "chrf",
    "assistant": "token_f1",
}
AUTHOR = ("-c", "user.name=the driven loop", "-c", "user.email=loop@localhost")


class Workspace:
    """A folder with a clone. All that is run there is run with this interpreter and the clone's own code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def clone(self, source: Path) -> None:
        """The last commit of `source`, with the overlay in params.yaml, committed."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(source), str(self.folder)], check=True)
        _lay_over(self.folder / "params.yaml", read_yaml(OVERLAY))
        self.commit("The parameters of the driven loop")

    def copy(self, folder: Path) -> "Workspace":
        """The same workspace once more, with all that was made in it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)  # whoever held its locks held them there
        return Workspace(folder)

    def commit(self, message: str) -> None:
        """Commits what changed; nothing where nothing did."""
        subprocess.run(["git", "add", "--all"], cwd=self.folder, check=True)
        subprocess.run(["git", *AUTHOR, "commit", "--quiet", "-m", message], cwd=self.folder, check=False)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What its processes run under: this interpreter, its own code before the project's, its own servers alone."""
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLEDGLING_", "PREFECT_"))
        }
        return {
            **inherited,
            **OFF,
            "PATH": path,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(extra or {}),
        }

    def fledgling(self, *arguments: str, extra: Mapping[str, str] | None = None) -> str:
        """A command of the project's, as it is typed; what it printed. Raises RuntimeError with its last line."""
        done = subprocess.run(
            [sys.executable, "-m", "fledgling.cli", *arguments], cwd=self.folder, env=self.environment(extra),
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise RuntimeError(f"fledgling {' '.join(arguments)}: {' '.join(last)}")
        return done.stdout

    def stage(self, name: str) -> None:
        """One stage by DVC, whatever is stale before it."""
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", name]
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{name} in {self.folder}: {done.stderr[-2000:]}")

    def overlaid(self) -> dict[str, Any]:
        """Its values of what the overlay names, by dotted key."""
        from tasks.profiles import leaves

        params = read_yaml(self.folder / "params.yaml")
        return {".".join(keys): reduce(getitem, keys, params) for keys, _ in leaves(read_yaml(OVERLAY))}

    def metrics(self, stage: str) -> dict[str, Any]:
        """The figures that a stage left."""
        return dict(json.loads((self.folder / "metrics" / f"{stage}.json").read_text(encoding="utf-8")))

    def figures(self, preference: Preference) -> dict[str, Any]:
        """What the present model is like: its answers to the hold-out, the tasks, bits per byte, the gate's word."""
        gate, evaluated = self.metrics("gate"), self.metrics("evaluate")
        return {
            **liked(self._stories(), preference),
            "bits_per_byte": evaluated["aligned_test_bits_per_byte"],
            **{name: evaluated[f"aligned_{name}_{metric}"] for name, metric in TASKS.items()},
            "gate": gate,
        }

    def _stories(self) -> list[str]:
        """The present model's answers to the hold-out's story requests."""
        lines = (self.folder / "data/gated/answers.jsonl").read_text(encoding="utf-8").split("\n")
        answers = [json.loads(line) for line in lines if line]
        return [answer["answer"] for answer in answers if answer["kind"] == "story"]


def liked(stories: list[str], preference: Preference) -> dict[str, float | int]:
    """The share of the stories that have what is preferred, with Wilson's 95 % interval."""
    from scipy.stats import binomtest

    count = sum(map(preference.has, stories))
    interval = binomtest(count, len(stories)).proportion_ci(method="wilson")
    share = {"share": count / len(stories), "share_low": float(interval.low), "share_high": float(interval.high)}
    return {**share, "stories": len(stories)}


def _lay_over(path: Path, values: Mapping[str, Any]) -> None:
    from dvc.utils.serialize import modify_yaml

    from tasks.profiles import leaves

    with modify_yaml(path) as document:
        for keys, value in leaves(values):
            section = document
            for key in keys[:-1]:
                section = section[key]
            if keys[-1] not in section:
                raise KeyError(f"{OVERLAY.name}: {'.'.join(keys)} is not in params.yaml")
            section[keys[-1]] = value
