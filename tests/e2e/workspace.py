"""A copy of the project to run the chain in, as a user's clone would be: its own folder, git and home."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.conftest import ROOT

Done = subprocess.CompletedProcess[str]

GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = tuple(GRAPH)
NOT_OURS = ("PREFECT_", "MLFLOW_", "DVC_", "GIT_", "FLEDGLING_PREFECT", "FLEDGLING_MLFLOW", "PYTHONDONTWRITEBYTECODE")
LIMIT_S = 300

# a chain of seconds: 360 generated stories beside the written ones, a model of some 70,000 parameters
SMALL: dict[str, Any] = {
    "tokenize.vocabulary_size": 768,
    "tokenize.compare_on_bytes": 50_000,
    "validate.least_records": {"train": 50, "validation": 5, "test": 5, "written": 5, "judge_a": 5, "judge_b": 5},
    "validate.length_drift": 5.0,  # 360 stories have not the lengths of 10,000
    "pretrain.model.context": 512,
    "pretrain.model.d_model": 64,
    "pretrain.model.n_layers": 1,
    "pretrain.model.n_heads": 1,
    "pretrain.model.n_kv_heads": 1,
    "pretrain.model.d_ff": 128,
    "pretrain.sampling.max_tokens": 10,
    "pretrain.budget_tokens": 131_072,  # 128 steps: some seconds, so that there is a middle to be killed in
    "pretrain.batch_tokens": 1_024,
    "pretrain.evaluations": 8,
    "pretrain.evaluation_documents": 8,
    "pretrain.final_evaluation_documents": 8,
    "pretrain.threads": 1,  # two that wait for each other are slow on a busy machine
    "pretrain.compile": "off",
    "mix.evaluation_examples": {"validation": 8, "test": 8, "written": 4},
    "mix.too_long_share": 0.9,
    "mix.expected": {"train_examples": 20, "test_examples": 2, "label_examples": 2, "task_share": [0.01, 0.9]},
    "finetune.sampling.max_tokens": 10,
    "finetune.budget_tokens": 32_768,
    "finetune.batch_tokens": 1_024,
    "finetune.evaluations": 2,
    "finetune.evaluation_documents": 8,
    "finetune.final_evaluation_documents": 8,
    "finetune.threads": 1,
    "finetune.compile": "off",
    "evaluate.bootstrap": 100,
    "evaluate.grammar_builtin_pairs": 40,
    "evaluate.stories.count": 4,
    "evaluate.stories.max_tokens": 20,
    "evaluate.tasks.rows": 6,
    "evaluate.tasks.written_rows": 2,
    "evaluate.tasks.stories": 2,
    "evaluate.tasks.max_tokens": {"summarization": 8, "translation": 8, "assistant": 8, "story": 16},
    "evaluate.tasks.swapped_texts": 8,
    "evaluate.processes": 1,
    "calibrate.heuristics.heuristic-a.language_model.vocabulary_size": 400,
    "calibrate.heuristics.heuristic-a.reference_share": 0.4,  # of some seventy stories
    "calibrate.heuristics.heuristic-b.language_model.order": 4,
    "calibrate.heuristics.heuristic-b.reference_share": 0.4,
    "calibrate.examination.stories_a_split": 12,
    "calibrate.examination.corruptions": {"pairs_a_kind": 4, "pairs_a_task_kind": 4, "faults": 2},
    "calibrate.examination.ladder": {"chains": 4, "checkpoints": 3},
    "calibrate.examination.swapped_again": 8,
    "calibrate.examination.repeats": 4,
    "calibrate.examination.attack_stories": 1,
    "calibrate.examination.grammar.builtin_pairs": 20,
    "calibrate.examination.bootstrap": 100,
    "sample.prompts": {"stories": 24, "others": 1, "kinds": ["summarization", "translation", "assistant"]},
    "sample.answers": 3,
    "sample.answering.max_tokens": {"summarization": 8, "translation": 8, "assistant": 8, "story": 16},
    "judge.prompts": {"stories": 3, "others": 1, "kinds": ["summarization", "translation", "assistant"]},
    "judge.answering.max_tokens": {"summarization": 8, "translation": 8, "assistant": 8, "story": 16},
    "judge.bootstrap": 100,
    "pair.least_margin": 0.0,
    "pair.longer_off_half": 0.5,
    "pair.held_out_jaccard": 1.0,
    "pair.validation_share": 0.4,  # of some twenty-five prompts
    "align.bounds": {"chosen_drop": 9.0, "kl": 9.0, "length_drift": 9.0},
    "align.budget_tokens": 8_192,
    "align.batch_tokens": 1_024,
    "align.evaluations": 1,
    "align.sampled_answers": 2,
    "align.least_pairs": 0,
    "align.sampling.max_tokens": 10,
    "align.compile": "off",
    "gate.bootstrap": 100,
}


@dataclass(frozen=True)
class Workspace:
    """A clone in a folder of its own."""

    folder: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """What a user's shell has: this interpreter's programs first, a home of its own, no servers."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)}
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        identity = {f"GIT_{who}_{what}": f"tests{'@localhost' * (what == 'EMAIL')}"
                    for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
        ceiling = {"GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        return {**kept, **identity, **ceiling, "HOME": str(home), "PATH": path, "PYTHONPATH": "", **extra}

    def run(self, *command: str, **extra: str) -> Done:
        """Runs a program in the workspace to its end."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**extra), capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip

    def start(self, *command: str, **extra: str) -> "Started":
        """Starts a program in a process group of its own, as a shell does; its lines go to a file."""
        return Started(command, self.folder, self.environment(**extra))

    def dvc(self, *arguments: str, **extra: str) -> str:
        """Runs dvc, which must succeed; what it printed."""
        return succeeded(self.run("dvc", *arguments, **extra))

    def git(self, *arguments: str) -> str:
        return succeeded(self.run("git", *arguments))

    def fledgling(self, *arguments: str, **extra: str) -> Done:
        return self.run(*FLEDGLING, *arguments, **extra)

    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        return dict(yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"])

    def outs(self) -> dict[str, str]:
        """The hash of every out."""
        return {out["path"]: out["md5"] for stage in self.lock().values() for out in stage["outs"]}

    def json(self, path: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / path).read_text()))

    def weights(self) -> bytes:
        return (self.folder / "models" / "base" / "model.safetensors").read_bytes()

    def set_params(self, **values: Any) -> None:
        """Writes parameters as DVC does; `a__b` is a.b."""
        write_params(self.folder / "params.yaml", {key.replace("__", "."): value for key, value in values.items()})

    def checkpoints(self) -> list[Path]:
        return sorted((self.folder / "var" / "checkpoints" / "pretrain").glob("*/step-*.safetensors"))

    def processes(self, having: str = "") -> list[psutil.Process]:
        """The live processes whose working folder is the workspace, or that were told of it."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and having in line and self._is_ours(process, line):
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process, line: str) -> bool:
        return process.cwd() == str(self.folder) or str(self.folder) in line

    def in_the_middle_of_pretrain(self) -> bool:
        """Whether the stage has two checkpoints and goes on."""
        return len(self.checkpoints()) >= 2 and bool(self.processes("tasks.pretrain"))

    def copy(self, parent: Path) -> "Workspace":
        """The same state in another folder; MLflow's database stays behind, it names its own folder."""
        folder = parent / "workspace"
        shutil.copytree(self.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("mlflow", "registered.json"))
        return Workspace(folder)


FLEDGLING = (sys.executable, "-m", "fledgling.cli")


class Started:
    """A program that runs beside the test."""

    def __init__(self, command: Iterable[str], folder: Path, environment: dict[str, str]) -> None:
        self._lines = folder.parent / f"{time.monotonic_ns()}.txt"
        with self._lines.open("w") as lines:
            self.process = subprocess.Popen(
                [*command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=lines,
                stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._lines.read_text()

    def ends_within(self, seconds: float) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s:\n{self.output}") from None

    def interrupt(self) -> None:
        """Ctrl+C: the terminal tells the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def ended_after(started: Started, workspace: Workspace) -> Iterator[Started]:
    """Whatever the test did, nothing of it runs on."""
    try:
        yield started
    finally:
        started.kill()
        for process in workspace.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


def succeeded(done: Done) -> str:
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def wait_for(holds: Callable[[], Any], *, limit_s: float, what: str, every_s: float = 0.02) -> Any:
    """What the condition gives, as soon as it is true of something."""
    deadline = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(every_s)
    return found


def write_params(path: Path, values: dict[str, Any]) -> None:
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(path) as document:
        for key, value in values.items():
            *above, last = key.split(".")
            section = document
            for name in above:
                section = section[name]
            section[last] = value


def clone(folder: Path) -> Workspace:
    """The project's files (tracked, and new ones that git does not ignore) under a git of their own, small params."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)  # a user's own, where one is tracked
    write_params(folder / "params.yaml", SMALL)
    _few_stories(folder / "params.yaml")
    workspace = Workspace(folder)
    workspace.git("init", "-q", ".")
    workspace.git("add", "-A")
    workspace.git("commit", "-q", "-m", "a clone")
    return workspace


def _few_stories(params: Path) -> None:
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(params) as document:
        for task in document["mix"]["tasks"]:
            for source in task["sources"]:
                source["examples"] = 60
        for source in document["ingest"]["sources"]:
            if source.get("part") == "generated":
                source["stories"] = 360


def from_stage_on(name: str) -> set[str]:
    """A stage and all that read, at any depth, what it makes."""
    found = {name}
    while more := {stage for stage in STAGES if found & _read_by(stage)} - found:
        found |= more
    return found


def _read_by(stage: str) -> set[str]:
    """The stages whose outs a stage reads."""
    deps = set(GRAPH[stage]["deps"])
    return {other for other in STAGES if deps.intersection([*GRAPH[other].get("outs", ()), *GRAPH[other]["metrics"]])}


def comments(text: str) -> list[str]:
    """The comments of a YAML file, in order."""
    return re.findall(r"(?:^|\s)# .*$", text, flags=re.MULTILINE)
