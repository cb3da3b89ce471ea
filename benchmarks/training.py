"""What an optimiser step of fine-tuning costs beside one of pretraining."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row
from tasks import stage, training
from tasks.finetune import FinetuneParams
from tasks.pretrain import PretrainParams
from tasks.stage import UserError

if TYPE_CHECKING:
    from model.batches import BatchSource, Documents
    from model.decoder import Decoder
    from model.training import Objective, Trainer

ROUNDS = 9
STEPS = 8  # of each kind in a round
BASE, MIXTURE, TOKENS = Path("models/base"), Path("data/mixture/tokens"), Path("data/tokens")


def finetune_vs_pretrain() -> Row:
    """Median tokens/s of full fine-tuning steps and of pretraining steps, one shape and batch, rounds interleaved.

    Tokens are positions that go through the model, taught or not: the workspace's base model, its mixture and its text,
    batch, number format and compiling as params.yaml has them for pretraining. Raises UserError where the chain has
    not run.
    """
    if missing := [path for path in (BASE, MIXTURE, TOKENS) if not path.exists()]:
        raise UserError(f"{missing[0]}: no such folder; run `make pipeline` first")
    params = stage.load_params(PretrainParams, "pretrain")
    with _torch_as_in(params):
        trainers = {"finetuning": _finetuning(params), "pretraining": _pretraining(params)}
        for trainer in trainers.values():
            _tokens_per_s(trainer, params)  # compiling, page faults
        rates = [{name: _tokens_per_s(trainer, params) for name, trainer in trainers.items()} for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(rate[name] for rate in rates) for name in trainers)
    return Row(
        name="finetune_vs_pretrain",
        unit="tokens/s",
        value=round(ours, 1),
        peer="pretraining",
        peer_value=round(theirs, 1),
        bar=0.9,
        lower_is_better=False,
    )


@contextmanager
def _torch_as_in(params: PretrainParams) -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    training.prepare_torch(params)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _finetuning(params: PretrainParams) -> Trainer:
    from model.batches import read_documents
    from model.blend import BalancedBatches, task_weights, with_replay
    from model.training import answer_loss

    own = stage.load_params(FinetuneParams, "finetune")
    conversations = read_documents(MIXTURE, "train")
    weighted = replace(conversations, weights=task_weights(conversations, temperature=own.temperature))
    blended = with_replay(weighted, read_documents(TOKENS, "train"), share=own.replay_share)
    return _trainer(params, BalancedBatches(_packed(params, blended), own.answer_balance), answer_loss)


def _pretraining(params: PretrainParams) -> Trainer:
    from model.batches import read_documents
    from model.training import next_token_loss

    return _trainer(params, _packed(params, read_documents(TOKENS, "train")), next_token_loss)


def _packed(params: PretrainParams, documents: Documents) -> BatchSource:
    from model.batches import PackedBatches

    context = params.model.context
    rows = training.rows_of_a_batch(params, context)
    return PackedBatches(documents, context=context, rows=rows, packing="whole", isolate=True, seed=params.seed)


def _trainer(params: PretrainParams, batches: BatchSource, objective: Objective) -> Trainer:
    """The stages' own loop on the base model, without evaluations and files."""
    from model.muon import Optimiser, OptimiserConfig
    from model.schedule import Schedule
    from model.training import Trainer, TrainingConfig

    decoder = _decoder(params)
    config = OptimiserConfig(**params.optimiser.model_dump(exclude={"clip_norm"}))
    return Trainer(
        decoder,
        batches=batches,
        objective=objective,
        optimiser=Optimiser(decoder, config, matmul_dtype=decoder.dtype),
        schedule=Schedule(steps=params.steps, **params.schedule.model_dump()),
        config=TrainingConfig(
            micro_rows=training.micro_rows(params, decoder.config.context, decoder.device),
            clip_norm=params.optimiser.clip_norm,
            evaluate_every=params.steps,
            log_every=params.steps,
            patience=None,
            min_gain=0.0,
            watch="",
        ),
        evaluate=lambda _, __: {},
        checkpoints=None,
        metrics=None,
    )


def _decoder(params: PretrainParams) -> Decoder:
    import torch

    from model.checkpoint import load_model

    device = training.resolve_device(params)
    precision = training.resolve_precision(params, device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    decoder = load_model(BASE, dtype=dtype, device=str(device)).train()
    training.compile_layers(params, decoder, precision=precision)
    return decoder


def _tokens_per_s(trainer: Trainer, params: PretrainParams) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        trainer.train_step()
    return STEPS * params.batch_tokens / (time.perf_counter() - started)
