"""The loop: it learns, it resumes bit for bit, it survives a corrupt checkpoint."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import Batch, PackedBatches
from model.blend import BalancedBatches
from model.documents import IGNORE, Documents, read_documents
from model.muon import OptimiserConfig, orthogonalise
from model.schedule import Schedule
from model.training import answer_loss, plateau
from tests.model import golden, small

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.model.small", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_killed_and_resumed_run_equals_an_undisturbed_one(tmp_path: Path) -> None:
    for name in ("killed", "undisturbed"):
        small.write_tokens(tmp_path / name / "tokens")
    undisturbed, killed = start(tmp_path / "undisturbed"), start(tmp_path / "killed")
    checkpoints = tmp_path / "killed" / "checkpoints"
    limit = time.monotonic() + 120
    while not list(checkpoints.glob("step-*0.safetensors")) and time.monotonic() < limit:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert start(tmp_path / "killed").wait(timeout=120) == 0
    assert undisturbed.wait(timeout=120) == 0
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("killed", "undisturbed")]
    assert weights[0] == weights[1]
    lines = [
        [{k: v for k, v in json.loads(line).items() if k != "time"} for line in path.read_text().splitlines()]
        for path in (tmp_path / name / "metrics.jsonl" for name in ("killed", "undisturbed"))
    ]
    assert lines[0] == lines[1]


def test_a_corrupt_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = small.write_tokens(tmp_path / "tokens")
    whole = small.trainer(tokens, steps=30)
    whole.run()
    part = small.trainer(tokens, steps=30, state=tmp_path)
    part.run()
    newest, before = sorted((tmp_path / "checkpoints").iterdir(), reverse=True)
    newest.write_bytes(newest.read_bytes()[:1000])
    with caplog.at_level(logging.INFO):
        resumed = small.trainer(tokens, steps=30, state=tmp_path, model=small.decoder(seed=9))
        resumed.run()
    assert f"checkpoint {newest.name} is corrupt" in caplog.text
    assert "resuming after step 20 of 30" in caplog.text
    flipped = bytearray(before.read_bytes())
    flipped[-5] ^= 1
    before.write_bytes(flipped)
    newest.unlink()
    caplog.clear()
    over = small.trainer(tokens, steps=30, state=tmp_path)
    over.run()
    assert "its checksum is wrong" in caplog.text
    for run in (part, resumed, over):
        for ours, theirs in zip(run.model.parameters(), whole.model.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        assert run.progress.history == whole.progress.history


def test_micro_batches_do_not_change_the_step(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path)
    runs = [small.trainer(tokens, steps=5) for _ in range(2)]
    runs[1].config = replace(runs[1].config, micro_rows=8)
    for run in runs:
        run.train_step()
    for one, other in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def answers(documents: Documents) -> Documents:
    """The same with its second half alone taught."""
    taught = np.zeros(len(documents.tokens), dtype=np.bool_)
    for start, end in pairwise(documents.offsets):
        taught[(start + end) // 2 : end] = True
    return replace(documents, taught=taught)


@pytest.mark.parametrize("balance", [0.0, 0.7])
def test_micro_batches_do_not_change_a_step_of_the_answer_loss(tmp_path: Path, balance: float) -> None:
    tokens = small.write_tokens(tmp_path)
    documents = answers(read_documents(tokens, "train"))
    weights = []
    for rows in (1, 8):
        run = small.trainer(tokens, steps=5)
        packed = PackedBatches(documents, context=32, rows=8, packing="whole", isolate=True, seed=3)
        run.batches, run.objective = BalancedBatches(packed, balance), answer_loss
        run.config = replace(run.config, micro_rows=rows)
        loss = run.train_step()[0]["train/loss"]
        assert loss == pytest.approx(np.log(61), abs=0.05)  # the counts are as many as the targets
        weights.append(list(run.model.parameters()))
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_batch_without_a_target_teaches_nothing(tmp_path: Path) -> None:
    run = small.trainer(small.write_tokens(tmp_path), steps=5)
    run.objective = answer_loss
    batch = run.batches.batch(0)
    nothing = replace(batch, targets=torch.full_like(batch.targets, IGNORE))

    class Prompts:
        def batch(self, index: int) -> Batch:
            return nothing

    run.batches = Prompts()
    before = [parameter.clone() for parameter in run.model.parameters()]
    loss, norm = run.train_step()
    assert (loss["train/loss"], norm) == (0, 0)
    for one, other in zip(run.model.parameters(), before, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_one_batch_can_be_learnt_by_heart(tmp_path: Path, kind: str) -> None:
    run = small.trainer(
        small.write_tokens(tmp_path), steps=150, optimiser=replace(small.OPTIMISER, kind=kind, adamw_lr=0.01)
    )
    only = run.batches.batch(0)

    class Same:
        def batch(self, index: int) -> Batch:
            return only

    run.batches = Same()
    losses = [run.train_step()[0]["train/loss"] for _ in range(150)]
    assert losses[-1] < 0.4  # the first token of a document cannot be known: about .3 nats a token remain
    assert losses[-1] < losses[0] / 8


def test_the_golden_curve_has_not_moved(tmp_path: Path) -> None:
    expected = json.loads(golden.FILE.read_text())
    assert golden.losses(tmp_path) == pytest.approx(expected, rel=1e-3), "meant? python -m tests.model.golden"


def test_a_plateau_brings_the_decay_forward(tmp_path: Path) -> None:
    run = small.trainer(small.write_tokens(tmp_path), steps=1000, evaluate_every=5, patience=2, min_gain=100.0)
    result = run.run()
    assert result.progress.step < 60
    assert run.schedule.scale(result.progress.step - 1) < 0.9


def test_what_a_plateau_is() -> None:
    assert not plateau([5.0, 4.0, 3.0, 2.0], 2, 0.1)
    assert plateau([5.0, 4.0, 3.95, 3.99], 2, 0.1)
    assert not plateau([5.0, 4.0], 2, 0.1)


def test_the_schedule_is_a_trapezoid() -> None:
    schedule = Schedule(steps=100, warmup_steps=4, decay_share=0.5, final_share=0.1)
    scales = [schedule.scale(step) for step in range(100)]
    assert scales[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(scales[5:51]) == {1.0}
    assert scales[75] == pytest.approx(0.55)
    assert scales[99] == pytest.approx(0.1, abs=0.02)
    assert schedule.decaying_from(20).steps == 40


def test_newton_schulz_makes_matrices_orthogonal() -> None:
    stack = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    made = orthogonalise(stack, steps=5)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(made[1], orthogonalise(stack[1:2], steps=5)[0], rtol=1e-4, atol=1e-5)


def test_a_loss_that_explodes_is_one_clear_line(tmp_path: Path) -> None:
    wild = OptimiserConfig(
        kind="adamw", muon_lr=1.0, adamw_lr=1e30, muon_momentum=0.9, betas=(0.9, 0.9), weight_decay=0.0,
        newton_schulz_steps=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step \d+: lower the learning rates"):
        small.trainer(small.write_tokens(tmp_path), steps=20, optimiser=wild).run()
