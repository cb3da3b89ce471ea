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
from tasks.adaptation import AdaptationParams, adapt, chat_samples, check_vocabulary, write_chat_model
from tasks.stage import UserError
from tasks.training import Share

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.batches import PackedBatches
    from model.decoder import Decoder
    from model.training import Evaluation

log = logging.getLogger(__name__)

WATCHED = "val/loss"  # nats a token of the answers
FORGETTING = "val/bits_per_byte"  # of pretraining text


class FinetuneParams(AdaptationParams):
    """The section `finetune` of params.yaml; each key is explained there."""

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
    from model.nf4 import quantize_base
    from model.training import answer_loss
    from tasks.tokenizer_kinds import load_tokenizer

    codec = load_tokenizer(base / "tokenizer.json")
    training.prepare_torch(params)
    decoder, precision = training.load_base(params, base)
    check_vocabulary(decoder, base, mixture / "tokens", tokens)
    chosen = chosen_tasks(params, mixture)
    validation = _Validation(mixture, tokens, chosen)
    if params.base_weights == "nf4":
        quantize_base(decoder, double=True)
    trained = adapt(params, decoder)
    batches = conversation_batches(params, mixture, tokens, chosen=chosen, context=decoder.config.context)
    compiled = training.compile_layers(params, decoder)
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
    write_chat_model(params, decoder, folder, tokenizer=base / "tokenizer.json")
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
    samples = chat_samples(params.sampling, name="finetune", codec=codec)

    def evaluate(decoder: Decoder, step: int) -> dict[str, float]:
        samples.tell(decoder, step=step, seed=params.seed)
        return validation.figures(decoder, limit=params.evaluation_documents)

    return evaluate


if __name__ == "__main__":
    stage.main(finetune)
