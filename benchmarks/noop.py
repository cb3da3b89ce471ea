"""What a `dvc repro` costs where nothing is stale, beside a bare DVC pipeline of as many stages."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.row import Row
from flows.graph import read_chain
from tasks.stage import UserError

REPEATS = 5
DVC = [sys.executable, "-m", "dvc"]


def noop_repro_vs_dvc() -> Row:
    """Median seconds of a no-op `dvc repro` here, and of a chain of as many trivial stages, interleaved.

    Raises UserError where the chain is stale: run `make pipeline` first.
    """
    chain = read_chain()
    if chain.stale:
        raise UserError(f"the chain is stale ({', '.join(sorted(chain.stale))}); run `make pipeline` first")
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare_pipeline(Path(folder), stages=len(chain.stages))
        ours, theirs = [], []
        for _ in range(REPEATS):
            ours.append(_seconds([*DVC, "repro", "-q"], Path()))
            theirs.append(_seconds([*DVC, "repro", "-q"], bare))
    return Row(
        name="noop_repro_vs_dvc",
        unit="s",
        value=round(statistics.median(ours), 3),
        peer=f"dvc repro of {len(chain.stages)} trivial stages",
        peer_value=round(statistics.median(theirs), 3),
        bar=0.67,  # at most 1.5 times bare DVC
        lower_is_better=True,
    )


def _bare_pipeline(folder: Path, *, stages: int) -> Path:
    """A chain of stages that copy one small file, reproduced once."""
    (folder / "out0").write_text("text\n")
    chain = {
        f"stage{n}": {"cmd": f"cp out{n - 1} out{n}", "deps": [f"out{n - 1}"], "outs": [f"out{n}"]}
        for n in range(1, stages + 1)
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": chain}))
    for command in (["init", "--no-scm", "-q"], ["config", "core.analytics", "false"], ["repro", "-q"]):
        subprocess.run([*DVC, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def _seconds(command: Sequence[str], folder: Path) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started
