"""Compiled training gives the same bytes in every process, with a cold and with a warm compile cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.telemetry import OFF
from tests.conftest import ROOT, skip_missing
from tests.tasks import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CACHE = Path("var/compile")
PRETRAIN = """
import sys
from pathlib import Path
from tasks.pretrain import pretrain
from tests.tasks.small import TOKENIZER, TOKENS, pretraining
folder = Path(sys.argv[1])
outs = {name: folder / name for name in ("metrics", "curve", "samples")}
params = pretraining(compile=sys.argv[2], threads=2)
pretrain(params, tokens=TOKENS, tokenizer=TOKENIZER, model=folder / "model", **outs)
"""


def weights(workspace: Path, name: str, *, compiling: str = "blocks") -> bytes:
    """Trains in a process of its own, with a temporary folder of its own (torch keeps a header there)."""
    scratch = workspace / f"tmp-{name}"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PRETRAIN, name, compiling], cwd=workspace, capture_output=True, text=True, timeout=600,
        env={**os.environ, **OFF, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (workspace / name / "model" / "model.safetensors").read_bytes()


def test_a_cold_and_a_warm_cache_give_the_same_bytes(workspace: Path) -> None:
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        skip_missing("a C++ compiler")
    small.write_workspace()

    cold = weights(workspace, "cold")
    assert any(CACHE.rglob("*.so"))
    assert weights(workspace, "warm") == cold
    shutil.rmtree(CACHE)
    assert weights(workspace, "cold-again") == cold
    assert weights(workspace, "eager", compiling="off") != cold  # so the others were compiled
