"""A small finished chain of which every part has a past (code, sources, a batch, a gate), registered once."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.registry import store
from tests.conftest import ROOT
from tests.tasks.registry.conftest import command, dvc, git, write_chain, write_json
from tests.tasks.registry.versions import GATE_STAGE, write_gate
from tests.tasks.reviews.test_batch_file import row, write

DVC_YAML = """
stages:
  ingest:
    cmd: echo
    deps: [code]
    params: [ingest]
    outs: [data/clean]
  mix:
    cmd: echo
    deps: [data/clean, data/feedback]
    params: [mix]
    outs: [data/mixture]
  pair:
    cmd: echo
    deps: [data/feedback, data/mixture]
    outs: [data/pairs]
  finetune:
    cmd: echo
    deps: [data/mixture, data/pairs]
    outs: [models/base, models/finetuned]
    metrics: [metrics/finetune.json]
  evaluate:
    cmd: echo
    deps: [data/clean, models/finetuned]
    metrics: [metrics/evaluate.json]
"""
PARAMS = """
ingest:
  sources:
    - {name: storybook-written, kind: hub, dataset: someone/stories, revision: abc123}
mix:
  tasks:
    - {name: assistant, sources: [{name: own-questions, kind: files, globs: [questions/*.jsonl]}]}
"""
MANIFEST = {
    "pairs": 5, "judges": {"heuristic-a@1": 3}, "batches": {"b": 2}, "reviewers": {"reader-abc123": 2},
    "decisions_read": 4, "rejected": {"tie": 1, "flipped": 0},
}  # fmt: skip


def example(source: str, *, origin: str = "q.jsonl") -> dict[str, Any]:
    return {"task": "assistant", "source": source, "licence": "CC0-1.0", "origin": origin}


def write_table(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def write_history(folder: Path) -> None:
    """What lies before the models of the chain."""
    code = folder / "code"
    (code / "stage").mkdir(parents=True)
    (code / "stage" / "deep.py").write_text("print('deep')\n")
    (code / "stage.py").write_text("print('a name that sorts between the folder and what is in it')\n")
    feedback = folder / "data" / "feedback"
    feedback.mkdir()
    write(feedback, [row(at) for at in range(4)])
    mixture = folder / "data" / "mixture"
    write_table(mixture / "train.parquet", example("own-questions"), example("feedback", origin="feedback: b/1"))
    write_table(mixture / "rejected.parquet", example("own-questions"))
    of_people = [{"id": "1", "decisions": [{"batch": "b", "annotation": at} for at in (1, 2)]}]
    write_json(mixture / "feedback.json", {"examples": of_people})
    write_json(folder / "data" / "pairs" / "manifest.json", MANIFEST)
    write_gate(folder, decision="undecided")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(DVC_YAML + GATE_STAGE)


@pytest.fixture(scope="session")
def registered_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain as it is after `fledgling register`."""
    folder = tmp_path_factory.mktemp("registered")
    write_chain(folder)
    write_history(folder)
    shutil.copy(ROOT / ".gitignore", folder)
    git(folder, "init", "-q", ".")
    dvc(folder, "init", "-q")
    dvc(folder, "add", "-q", "data/feedback/b.jsonl")
    dvc(folder, "commit", "-q", "-f")
    git(folder, "add", ".")
    git(folder, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "a chain")
    for name, value in (("user.name", "tests"), ("user.email", "tests@localhost")):
        git(folder, "config", name, value)
    store._make_database(folder / store.DATABASE)
    command(folder, sys.executable, "-W", "ignore", "-m", "tasks.register")
    return folder


@pytest.fixture
def registered(registered_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the registered chain, which is the working folder."""
    folder = tmp_path / "chain"
    shutil.copytree(registered_template, folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; afterwards it is as it was
    monkeypatch.chdir(folder)
    return folder


def told(path: Path) -> Any:
    return json.loads(path.read_text())
