"""What an optimiser step of fine-tuning costs beside one of pretraining."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row
from tasks import stage, training
from tasks.finetune import FinetuneParams, conversation_batches
from tasks.pretrain import PretrainParams
from tasks.stage import UserError

if TYPE_CHECKING:
    from model.batches import BatchSource
    from model.decoder import Decoder
    from model.training import Objective, Trainer

ROUNDS = 9
STEPS = 8  # of each kind in a round
BASE, MIXTURE, TOKENS = Path("models/base"), Path("data/mixture"), Path("data/tokens")


def finetune_vs_pretrain() -> Row:
    """Median tokens/s of full fine-tuning steps and of pretraining steps, one shape and batch, rounds interleaved.

    Tokens are positions that go through the model, taught or not: the workspace's base model, its mixture and its text,
    batch, number format and compiling as params.yaml has them for pretraining. Raises UserError where the chain has
    not run.
    """
    if missing := [path for path in (BASE, MIXTURE / "tokens", TOKENS) if not path.exists()]:
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
    from model.blend import BalancedBatches
    from model.training import answer_loss

    decoder = _decoder(params)
    same = {"batch_tokens": params.batch_tokens, "seed": params.seed}
    own = stage.load_params(FinetuneParams, "finetune").model_copy(update=same)
    batches = conversation_batches(own, MIXTURE, TOKENS, chosen=None, context=decoder.config.context)
    return _trainer(params, decoder, BalancedBatches(batches, own.answer_balance), answer_loss)


def _pretraining(params: PretrainParams) -> Trainer:
    from model.documents import read_documents
    from model.training import next_token_loss

    decoder, documents = _decoder(params), read_documents(TOKENS, "train")
    context = decoder.config.context
    batches = training.packed_batches(params, documents, context=context, packing="whole", isolate=True)
    return _trainer(params, decoder, batches, next_token_loss)


def _decoder(params: PretrainParams) -> Decoder:
    decoder, _ = training.load_base(params, BASE)
    training.compile_layers(params, decoder)
    return decoder


def _trainer(params: PretrainParams, decoder: Decoder, batches: BatchSource, objective: Objective) -> Trainer:
    """The stages' own loop on the base model, without evaluations and files."""
    return training.trainer(
        params,
        decoder,
        batches=batches,
        objective=objective,
        evaluate=lambda _, __: {},
        watch="",
        checkpoints=None,
        metrics=None,
    )


def _tokens_per_s(trainer: Trainer, params: PretrainParams) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        trainer.train_step()
    return STEPS * params.batch_tokens / (time.perf_counter() - started)
