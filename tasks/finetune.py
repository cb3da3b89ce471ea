"""Stage finetune: the base model and the instruction mixture to the fine-tuned model, in full or by LoRA.

The loop, checkpoints, resume and metrics are those of `pretrain` (tasks.training); the loss counts answers alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tasks import stage, training
from tasks.stage import Params, UserError
from tasks.training import Count, Positive, Share, TrainingParams

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.batches import PackedBatches
    from model.decoder import Decoder
    from model.training import Evaluation

log = logging.getLogger(__name__)

WATCHED = "val/loss"  # nats a token of the answers
FORGETTING = "val/bits_per_byte"  # of pretraining text


class LoraParams(Params):
    """Low-rank adaptation; see model.lora.LoraConfig."""

    rank: Count
    alpha: Positive
    targets: tuple[str, ...]


class FinetuneParams(TrainingParams):
    """The section `finetune` of params.yaml; each key is explained there."""

    method: Literal["full", "lora"]
    lora: LoraParams
    base_weights: Literal["fp32", "nf4"]
    tasks: tuple[str, ...] | None
    temperature: Annotated[float, Field(ge=1.0)]
    replay_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    answer_balance: Share


def finetune(
    params: FinetuneParams, *, base: Path, mixture: Path, tokens: Path, model: Path, metrics: Path, curve: Path
) -> None:
    """Train the base model on the mixture's answers and write the model folder, its figures and its curve.

    base: a model folder; mixture: what `mix` made; tokens: the pretraining token files, for replay and to see what is
    forgotten. By LoRA the folder holds the merged model, and the adapter beside it in PEFT's format. Raises UserError
    in one line.
    """
    if params.base_weights == "nf4" and params.method != "lora":
        raise UserError("finetune.base_weights is nf4, but 4-bit weights cannot learn; set finetune.method to lora")
    try:
        _finetune(params, base=base, mixture=mixture, tokens=tokens, folder=model, metrics=metrics, curve=curve)
    except ValueError as error:
        raise UserError(str(error)) from error


def _finetune(
    params: FinetuneParams, *, base: Path, mixture: Path, tokens: Path, folder: Path, metrics: Path, curve: Path
) -> None:
    from model.blend import BalancedBatches
    from model.checkpoint import save_model
    from model.lora import trainable_parameters
    from model.training import answer_loss
    from tasks.chat import write_generation_config
    from tasks.tokenizer_kinds import load_tokenizer

    codec = load_tokenizer(base / "tokenizer.json")
    training.prepare_torch(params)
    decoder, precision = training.load_base(params, base)
    _check_vocabulary(decoder, mixture / "tokens", tokens)
    chosen = chosen_tasks(params, mixture)
    validation = _Validation(mixture, tokens, chosen)
    _adapt(params, decoder)
    trained = trainable_parameters(decoder)
    batches = conversation_batches(params, mixture, tokens, chosen=chosen, context=decoder.config.context)
    compiled = training.compile_layers(params, decoder, precision=precision)
    epochs = f"{batches.epochs_at(params.steps):.2f} epochs of the mixture"
    training.announce(params, decoder, epochs=epochs, precision=precision, compiled=compiled)
    result = training.train(
        params,
        decoder,
        name="finetune",
        key=training.run_key(
            params, _files(base, mixture, tokens), facts=[precision, str(compiled), decoder.device.type]
        ),
        batches=BalancedBatches(batches, params.answer_balance),
        objective=answer_loss,
        evaluate=_evaluation(params, validation, codec),
        watch=WATCHED,
    )
    _finish(params, decoder, folder)
    save_model(folder, decoder, tokenizer=base / "tokenizer.json")
    write_generation_config(folder)
    final = validation.figures(decoder, limit=params.final_evaluation_documents)
    training.write_curve(curve, result, [WATCHED, FORGETTING])
    figures = {
        **training.run_figures(result),
        "parameters": decoder.parameter_count(),
        "parameters_trained": trained,
        "train_epochs": batches.epochs_at(result.progress.step),
        "val_loss": final[WATCHED],
        "val_bits_per_byte": final[FORGETTING],
    }
    stage.write_metrics(metrics, figures)
    log.info("%.4f nats a token of the answers in validation; the model is in %s", final[WATCHED], folder)


def _files(base: Path, mixture: Path, tokens: Path) -> list[Path]:
    """Everything that decides a byte of the weights."""
    own = [path for path in (mixture / "tokens").iterdir() if path.is_file()]
    text = [*tokens.glob("train.*"), *tokens.glob("validation.*")]
    return [base / "model.safetensors", base / "config.json", *own, *text]


def _check_vocabulary(decoder: Decoder, *folders: Path) -> None:
    """Raises UserError for token files that hold ids the base model has no embedding of."""
    from model.documents import vocabulary_size

    known = decoder.config.vocabulary_size
    for folder in folders:
        if (size := vocabulary_size(folder)) > known:
            raise UserError(
                f"{folder} was written with a vocabulary of {size:,}, the base model has one of {known:,}; "
                "all three must come from one tokenizer"
            )


def _adapt(params: FinetuneParams, decoder: Decoder) -> None:
    """Freeze and wrap the base model where LoRA is wanted, its matrices in 4 bits where that is."""
    import torch

    from model.lora import LoraConfig, add_lora
    from model.nf4 import quantize_base

    if params.method == "full":
        return
    if params.base_weights == "nf4":
        quantize_base(decoder, double=True)
    lora = LoraConfig(rank=params.lora.rank, alpha=params.lora.alpha, targets=params.lora.targets)
    add_lora(decoder, lora, generator=torch.Generator().manual_seed(params.seed))


def _finish(params: FinetuneParams, decoder: Decoder, folder: Path) -> None:
    """Write the adapter and merge it, so that what is saved and scored is a plain model."""
    from model.lora import merge_lora, save_adapter

    if params.method == "lora":
        save_adapter(folder / "adapter", decoder)
        merge_lora(decoder)
    decoder.eval()


def conversation_batches(
    params: FinetuneParams, mixture: Path, tokens: Path, *, chosen: Sequence[int] | None, context: int
) -> PackedBatches:
    """The batches of the mixture's conversations with the replayed text among them.

    chosen: the tasks, as `chosen_tasks` has them.
    """
    from model.blend import task_weights, with_replay
    from model.documents import read_documents

    conversations = read_documents(mixture / "tokens", "train")
    weights = task_weights(conversations, temperature=params.temperature, chosen=chosen)
    blended = with_replay(
        replace(conversations, weights=weights), read_documents(tokens, "train"), share=params.replay_share
    )
    return training.packed_batches(  # conversations never see each other
        params, blended, context=context, packing="whole", isolate=True
    )


def chosen_tasks(params: FinetuneParams, mixture: Path) -> list[int] | None:
    """The indices of the tasks to train, None: all. Raises UserError for a task that the mixture has not."""
    from model.documents import task_names

    if params.tasks is None:
        return None
    names = task_names(mixture / "tokens")
    if unknown := [name for name in params.tasks if name not in names]:
        raise UserError(f"finetune.tasks: the mixture has no task '{unknown[0]}'; it has {', '.join(names)}")
    return [names.index(name) for name in params.tasks]


class _Validation:
    """What is not trained on: conversations of the tasks that are trained, and pretraining text."""

    def __init__(self, mixture: Path, tokens: Path, chosen: Sequence[int] | None) -> None:
        from model.documents import read_documents

        self.conversations = read_documents(mixture / "tokens", "validation")
        self.text = read_documents(tokens, "validation")
        self.tasks = chosen

    def figures(self, decoder: Decoder, *, limit: int | None) -> dict[str, float]:
        """What a model makes of `limit` conversations and as many documents, None: of all."""
        from model.scoring import answer_nats, bits_per_byte

        return {
            WATCHED: answer_nats(decoder, self.conversations, limit=limit, tasks=self.tasks),
            FORGETTING: bits_per_byte(decoder, self.text, limit=limit),
        }


def _evaluation(params: FinetuneParams, validation: _Validation, codec: Tokenizer) -> Evaluation:
    from tasks.chat import END_OF_TURN, encode_chat

    prompts = [
        encode_chat(codec, [{"role": "user", "content": prompt}], ask=True).ids for prompt in params.sampling.prompts
    ]
    samples = training.Samples(params.sampling, name="finetune", prompts=prompts, codec=codec, stop=END_OF_TURN)

    def evaluate(decoder: Decoder, step: int) -> dict[str, float]:
        samples.tell(decoder, step=step, seed=params.seed)
        return validation.figures(decoder, limit=params.evaluation_documents)

    return evaluate


if __name__ == "__main__":
    stage.main(finetune)
