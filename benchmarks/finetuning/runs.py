"""The stage finetune in a process of its own, its parameters and outs in a folder of the study.

A run whose parameters, inputs and code are those of a run that ended is not made again: a killed study goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.finetuning.plan import STUDY, Workspace
from tasks import stage
from tasks.stage import UserError

log = logging.getLogger(__name__)

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a process of the stage made, and what it took."""

    folder: Path
    section: Mapping[str, Any]  # its parameters
    figures: Figures  # metrics/finetune.json
    timings: Figures  # var/timings/finetune.json

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def tokens_per_s(self) -> float:
        """Tokens that optimiser steps read a second, prompts and answers; evaluation and the first step left out."""
        return float(self.timings["train_tokens_per_s"])


def finetuned(
    name: str,
    section: Mapping[str, Any],
    workspace: Workspace,
    *,
    base: Path | None = None,
    mixture: Path | None = None,
) -> Run:
    """Run the stage with a section `finetune` of its own. Raises UserError with the last line of a run that failed."""
    folder = (STUDY / name).absolute()
    inputs = {
        "base": (base or workspace.base).absolute(),
        "mixture": (mixture or workspace.mixture).absolute(),
        "tokens": workspace.tokens,
    }
    key, ended = _key(section, inputs, workspace), folder / "ended.json"
    if not ended.exists() or json.loads(ended.read_text(encoding="utf-8"))["key"] != key:
        log.info("%s: %s tokens", name, f"{section['budget_tokens']:,}")
        _run(folder, section, inputs, workspace)
        stage.write_text(ended, json.dumps({"key": key}) + "\n")
    figures, timings = (
        json.loads((folder / path).read_text(encoding="utf-8"))
        for path in ("finetune.json", "var/timings/finetune.json")
    )
    return Run(folder=folder, section=section, figures=figures, timings=timings)


def changed(section: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A section with some of its keys changed, inner mappings key by key."""
    merged = dict(section)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = changed(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _run(folder: Path, section: Mapping[str, Any], inputs: Mapping[str, Path], workspace: Workspace) -> None:
    """In the folder itself: timings, checkpoints and samples of two runs never meet. The compile cache is shared."""
    (folder / "var").mkdir(parents=True, exist_ok=True)
    (folder / "ended.json").unlink(missing_ok=True)
    cache = folder / "var" / "compile"
    if not cache.is_symlink():
        cache.symlink_to((stage.STATE / "compile").absolute(), target_is_directory=True)
    (stage.STATE / "compile").mkdir(parents=True, exist_ok=True)
    stage.write_text(folder / "params.yaml", yaml.safe_dump({"finetune": dict(section)}, sort_keys=False))
    outs = {"model": "model", "metrics": "finetune.json", "curve": "finetune.csv"}
    options = [part for key, path in {**inputs, **outs}.items() for part in (f"--{key}", str(path))]
    command = [sys.executable, "-m", "tasks.finetune", "--params", "params.yaml", *options]
    environment = {**os.environ, "PYTHONPATH": str(workspace.root)}
    with (folder / "log.txt").open("w", encoding="utf-8") as told:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=told, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = (folder / "log.txt").read_text(encoding="utf-8").strip().splitlines() or ["nothing was said"]
        raise UserError(f"{folder.name} failed ({done.returncode}): {lines[-1]} (the rest is in {folder / 'log.txt'})")


def _key(section: Mapping[str, Any], inputs: Mapping[str, Path], workspace: Workspace) -> str:
    digest = hashlib.sha256(json.dumps(section, sort_keys=True, default=str).encode())
    for path in _files(inputs, workspace):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(inputs: Mapping[str, Path], workspace: Workspace) -> Iterator[Path]:
    """What decides a byte of a run's weights."""
    yield inputs["base"] / "model.safetensors"
    yield from sorted((inputs["mixture"] / "tokens").iterdir())
    yield from sorted(inputs["tokens"].glob("train.*"))
    yield from sorted((workspace.root / "model").glob("*.py"))
    yield from (workspace.root / "tasks" / name for name in ("finetune.py", "training.py"))
