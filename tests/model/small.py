"""Small models, token files and runs for the tests of model/; `python -m tests.model.small FOLDER` is one run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.batches import PackedBatches
from model.checkpoint import Checkpoints, save_model
from model.config import ModelConfig
from model.decoder import Decoder, initialise
from model.documents import Document, read_documents, token_dtype, write_documents
from model.muon import Optimiser, OptimiserConfig
from model.schedule import Schedule
from model.scoring import bits_per_byte
from model.training import MetricsLog, Trainer, TrainingConfig, next_token_loss

CONFIG = ModelConfig(
    vocabulary_size=61, context=32, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_head=8, d_ff=48,
    positions="rope", rope_theta=10_000.0, norm="rmsnorm", norm_eps=1e-6, activation="swiglu", qk_norm=True,
    tied_embeddings=True, end_id=0,
)  # fmt: skip
OPTIMISER = OptimiserConfig(
    kind="muon", muon_lr=0.02, adamw_lr=0.003, muon_momentum=0.95, betas=(0.9, 0.95), weight_decay=0.0,
    newton_schulz_steps=5,
)  # fmt: skip


def decoder(*, seed: int = 0, awake: bool = False, **changes: Any) -> Decoder:
    """A small decoder; awake: its zero projections are filled too, so that every part matters."""
    model = Decoder(replace(CONFIG, **changes))
    generator = torch.Generator().manual_seed(seed)
    initialise(model, generator=generator)
    if awake:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def write_tokens(folder: Path, *, documents: int = 200, seed: int = 0, weights: list[float] | None = None) -> Path:
    """Token files of a little language that can be learnt: each document counts up from a random start."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, count in (("train", documents), ("validation", 20)):
        texts = [
            [*(1 + (rng.integers(60) + np.arange(length)) % 60).tolist(), 0] for length in rng.integers(3, 50, count)
        ]
        given = weights if weights and split == "train" else [1.0] * count
        written = [
            Document(ids=text, weight=weight, size=3 * len(text)) for text, weight in zip(texts, given, strict=True)
        ]
        splits[split] = write_documents(folder, split, written, dtype=token_dtype(61), conversations=False)
    meta = {"dtype": "uint16", "vocabulary_size": 61, "end_id": 0, "splits": splits}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def trainer(
    tokens: Path,
    *,
    steps: int,
    state: Path | None = None,
    evaluate_every: int = 10,
    model: Decoder | None = None,
    optimiser: OptimiserConfig = OPTIMISER,
    patience: int | None = None,
    min_gain: float = 0.0,
) -> Trainer:
    """A run on token files; with `state` it keeps checkpoints and metrics there."""
    model = model or decoder()
    validation = read_documents(tokens, "validation")
    batches = PackedBatches(read_documents(tokens, "train"), context=32, rows=8, packing="whole", isolate=True, seed=3)
    return Trainer(
        model, batches=batches, objective=next_token_loss,
        optimiser=Optimiser(model, optimiser, matmul_dtype=torch.float32),
        schedule=Schedule(steps=steps, warmup_steps=5, decay_share=0.5, final_share=0.0),
        config=TrainingConfig(
            micro_rows=4, clip_norm=1.0, evaluate_every=evaluate_every, log_every=1, patience=patience,
            min_gain=min_gain, watch="val/bits_per_byte",
        ),
        evaluate=lambda model, step: {"val/bits_per_byte": bits_per_byte(model, validation)},
        checkpoints=Checkpoints(state / "checkpoints") if state else None,
        metrics=MetricsLog(state / "metrics.jsonl") if state else None,
    )  # fmt: skip


def main(folder: Path) -> None:
    """A run of 150 steps on folder/tokens; the model goes to folder/model."""
    torch.set_num_threads(1)  # the bytes depend on it
    run = trainer(folder / "tokens", steps=150, state=folder)
    run.run()
    save_model(folder / "model", run.model, tokenizer=None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
