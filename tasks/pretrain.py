"""Stage pretrain: token files to the base model, by next-token prediction."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks import stage, training
from tasks.stage import Params, UserError
from tasks.training import Count, Positive, TrainingParams

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder
    from model.documents import Documents
    from model.training import Evaluation

log = logging.getLogger(__name__)

WATCHED = "val/bits_per_byte"


class Shape(Params):
    """The model; see model.config.ModelConfig."""

    context: Count
    d_model: Count
    n_layers: Count
    n_heads: Count
    n_kv_heads: Count
    d_head: Count
    d_ff: Count
    positions: Literal["rope", "learned", "sinusoidal", "none"]
    rope_theta: Positive
    norm: Literal["rmsnorm", "layernorm"]
    norm_eps: Positive
    activation: Literal["swiglu", "geglu", "relu", "gelu", "squared_relu"]
    qk_norm: bool
    tied_embeddings: bool


class PretrainParams(TrainingParams):
    """The section `pretrain` of params.yaml; each key is explained there."""

    model: Shape
    initialisation: Literal["induction", "random"]
    packing: Literal["stream", "whole"]
    isolate_documents: bool


def pretrain(
    params: PretrainParams, *, tokens: Path, tokenizer: Path, model: Path, metrics: Path, curve: Path, samples: Path
) -> None:
    """Train a decoder on token files and write the model folder, its figures, its curve and what it said on the way.

    tokens: the folder of token files; tokenizer: tokenizer.json or its folder. Raises UserError in one line.
    """
    tokenizer = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    try:
        _pretrain(
            params, tokens=tokens, tokenizer=tokenizer, folder=model, metrics=metrics, curve=curve, samples=samples
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def _pretrain(
    params: PretrainParams, *, tokens: Path, tokenizer: Path, folder: Path, metrics: Path, curve: Path, samples: Path
) -> None:
    from model.checkpoint import save_model
    from model.documents import read_documents
    from model.scoring import bits_per_byte
    from model.training import next_token_loss
    from tasks.tokenizer_kinds import load_tokenizer

    codec = load_tokenizer(tokenizer)
    training.prepare_torch(params)
    device = training.resolve_device(params)
    precision = training.resolve_precision(params, device)
    train, validation = read_documents(tokens, "train"), read_documents(tokens, "validation")
    decoder = _new_model(params, tokens=tokens, precision=precision).to(device)
    batches = training.packed_batches(
        params, train, context=params.model.context, packing=params.packing, isolate=params.isolate_documents
    )
    told = _samples(params, codec)
    compiled = training.compile_layers(params, decoder)
    epochs = f"{batches.epochs_at(params.steps):.2f} epochs of {len(train):,} documents"
    training.announce(params, decoder, epochs=epochs, precision=precision, compiled=compiled)
    files = [*tokens.glob("train.*"), *tokens.glob("validation.*"), tokens / "meta.json"]
    result = training.train(
        params,
        decoder,
        name="pretrain",
        key=training.run_key(params, files, facts=[precision, str(compiled), device.type]),
        batches=batches,
        objective=next_token_loss,
        evaluate=_evaluation(params, validation, told),
        watch=WATCHED,
    )
    save_model(folder, decoder, tokenizer=tokenizer)
    final = bits_per_byte(decoder, validation, limit=params.final_evaluation_documents)
    training.write_curve(curve, result, [WATCHED])
    told.write(samples, steps={int(point["step"]) for point in result.progress.history})
    figures = {
        **training.run_figures(result),
        "parameters": decoder.parameter_count(),
        "train_epochs": batches.epochs_at(result.progress.step),
        "val_bits_per_byte": final,
    }
    stage.write_metrics(metrics, figures)
    log.info("%.4f bits per byte on the validation split; the model is in %s", final, folder)


def _new_model(params: PretrainParams, *, tokens: Path, precision: training.Precision) -> Decoder:
    import torch

    from model.config import ModelConfig
    from model.decoder import Decoder, initialise
    from model.documents import read_documents, vocabulary_size
    from model.induction import fits, set_induction_heads

    end_id = read_documents(tokens, "train").end_id
    config = ModelConfig(vocabulary_size=vocabulary_size(tokens), end_id=end_id, **params.model.model_dump())
    decoder = Decoder(config, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    generator = torch.Generator().manual_seed(params.seed)
    initialise(decoder, generator=generator)
    if params.initialisation == "induction":
        if fits(config):
            set_induction_heads(decoder, generator=generator)
        else:
            log.warning("this shape has no place for an induction circuit: the weights start at random")
    if line := config.why_not_exportable():
        log.warning("%s", line)
    return decoder


def _samples(params: PretrainParams, codec: Tokenizer) -> training.Samples:
    prompts = [codec.encode(prompt, add_special_tokens=False).ids for prompt in params.sampling.prompts]
    return training.Samples(params.sampling, name="pretrain", prompts=prompts, codec=codec, stop=None)


def _evaluation(params: PretrainParams, validation: Documents, samples: training.Samples) -> Evaluation:
    from model.scoring import bits_per_byte

    def evaluate(decoder: Decoder, step: int) -> dict[str, float]:
        samples.tell(decoder, step=step, seed=params.seed)
        return {WATCHED: bits_per_byte(decoder, validation, limit=params.evaluation_documents)}

    return evaluate


if __name__ == "__main__":
    stage.main(pretrain)
