"""The run of `align`: from the starting model to the aligned one, stopped where a bound is passed."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from model.batches import PackedBatches
from model.checkpoint import Checkpoints
from model.decoder import Decoder
from model.documents import read_documents
from model.preferences.batches import PreferenceBatches, Replay
from model.preferences.bounds import Bounds, Breach
from model.preferences.judged import Judged, Reference
from model.preferences.losses import PreferenceConfig
from model.preferences.objective import PreferenceObjective
from model.training import Result, Trainer
from tasks import stage, training
from tasks.adaptation import adapt, chat_samples, write_chat_model
from tasks.aligning.answering import Questions, Said
from tasks.aligning.data import Data, Inputs, check_model, read_data
from tasks.aligning.start import starting_point
from tasks.aligning.watching import FORGETTING, WATCHED, HeldOut, StepLog, Watch, last_good
from tasks.tokenizer_kinds import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from tasks.align import AlignParams

log = logging.getLogger(__name__)

CURVE = (
    WATCHED,
    "val/accuracy",
    "val/margin",
    "val/kl_from_reference",
    "val/chosen_log_prob_per_token",
    "val/rejected_log_prob_per_token",
    "val/length_ratio",
    "val/distinct_2",
    FORGETTING,
)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that is ready to begin. params: with the budget that the epochs leave; trained: numbers that learn;
    too_few: why nothing is to be learnt."""

    params: AlignParams
    decoder: Decoder
    trained: int
    data: Data
    batches: PreferenceBatches
    held_out: HeldOut
    checkpoints: Checkpoints
    too_few: Breach | None


def run(params: AlignParams, inputs: Inputs, *, aligned: Path, metrics: Path, curve: Path) -> None:
    """The work of `tasks.align.align`. Raises UserError and ValueError in one line."""
    codec = load_tokenizer(inputs.model / "tokenizer.json")
    ready = _prepare(params, inputs, codec)
    watch = _watch(ready, codec)
    result = _train(ready, watch)
    decoder, kept, said = ready.decoder, result.progress.step, watch.said
    if watch.breach is not None:
        decoder, kept = last_good(ready.checkpoints, lambda: _adapted(params, inputs.model), decoder)
        said = None  # another model's
        log.warning("the state after step %d of %d is kept", kept, ready.params.steps)
    write_chat_model(params, decoder, aligned, tokenizer=inputs.model / "tokenizer.json")
    training.write_curve(curve, result, CURVE)
    final = ready.held_out.figures(decoder, limit=params.final_evaluation_documents, said=said)
    figures = {
        **training.run_figures(result),
        **ready.data.figures,
        **_final_figures(final, ready.held_out.said),
        **_stopped(watch.breach, result.progress.step, kept),
        "parameters": decoder.parameter_count(),
        "parameters_trained": ready.trained,
        "train_epochs": ready.batches.epochs_at(kept),
    }
    stage.write_metrics(metrics, figures)
    ready.checkpoints.remove()
    _tell(figures, aligned)


def _prepare(params: AlignParams, inputs: Inputs, codec: Tokenizer) -> Prepared:
    config = _config(params)
    training.prepare_torch(params)
    decoder, precision = training.load_base(params, inputs.model)
    check_model(inputs, decoder)
    data = read_data(params, inputs, codec=codec, decoder=decoder)
    compiled = training.compile_layers(params, decoder)
    key = training.run_key(params, inputs.files(), facts=[precision, str(compiled), decoder.device.type])
    checkpoints = Checkpoints(stage.STATE / "checkpoints" / "align" / key)
    questions = Questions(data.prompts, params.sampling, codec=codec, count=params.sampled_answers, seed=params.seed)
    start = starting_point(checkpoints.folder / "reference.safetensors", decoder, data, questions)
    trained = adapt(params, decoder)
    batches = _batches(params, inputs, data.train, start.train, decoder)
    too_few = _too_few(params, data)
    params = _shortened(params, batches, too_few)
    epochs = f"{batches.epochs_at(params.steps):.2f} epochs of {len(data.train)} examples, {params.loss}"
    training.announce(params, decoder, epochs=epochs, precision=precision, compiled=compiled)
    text = read_documents(inputs.tokens, "validation")
    held_out = HeldOut(
        pairs=data.held_out, reference=start.held_out, config=config, questions=questions, said=start.said, text=text
    )
    return Prepared(
        params=params,
        decoder=decoder,
        trained=trained,
        data=data,
        batches=batches,
        held_out=held_out,
        checkpoints=checkpoints,
        too_few=too_few,
    )


def _config(params: AlignParams) -> PreferenceConfig:
    return PreferenceConfig(
        loss=params.loss,
        beta=params.beta,
        label_smoothing=params.label_smoothing,
        per_token=params.per_token,
        sft_weight=params.sft_weight,
        desirable_weight=params.kto.desirable_weight,
        undesirable_weight=params.kto.undesirable_weight,
    )


def _adapted(params: AlignParams, folder: Path) -> Decoder:
    """The starting model, as it is trained."""
    decoder = training.load_base(params, folder)[0]
    adapt(params, decoder)
    return decoder


def _batches(
    params: AlignParams, inputs: Inputs, judged: Judged, reference: Reference, decoder: Decoder
) -> PreferenceBatches:
    context = decoder.config.context
    return PreferenceBatches(
        judged,
        reference,
        context=context,
        rows=training.rows_of_a_batch(params, context),
        micro_rows=training.micro_rows(params, context, decoder.device),
        seed=params.seed,
        replay=_replay(params, inputs, context),
    )


def _replay(params: AlignParams, inputs: Inputs, context: int) -> Replay | None:
    if not params.replay.share:
        return None
    folder = inputs.mixture / "tokens" if params.replay.source == "mixture" else inputs.tokens
    rows = PackedBatches(
        read_documents(folder, "train"), context=context, rows=1, packing="whole", isolate=True, seed=params.seed
    )
    return Replay(source=rows, share=params.replay.share, weight=params.replay.weight)


def _shortened(params: AlignParams, batches: PreferenceBatches, too_few: Breach | None) -> AlignParams:
    """The parameters with the budget that the epochs leave; one step where there is too little to learn from."""
    if too_few is not None:
        return params.model_copy(update={"budget_tokens": params.batch_tokens})
    if params.epochs is None:
        return params
    most = math.ceil(params.epochs * batches.steps_of_epoch()) * params.batch_tokens
    return params.model_copy(update={"budget_tokens": min(params.budget_tokens, most)})


def _watch(ready: Prepared, codec: Tokenizer) -> Watch:
    params = ready.params
    samples = chat_samples(params.sampling, name="align", codec=codec)
    bounds = Bounds(**params.bounds.model_dump())
    return Watch(
        ready.held_out,
        bounds,
        samples,
        limit=params.evaluation_documents,
        seed=params.seed,
        too_few=ready.too_few,
    )


def _too_few(params: AlignParams, data: Data) -> Breach | None:
    """Why nothing is to be learnt: a handful of pairs moves a model as chance will have it."""
    count = int(data.figures["pairs"] + data.figures["thumbs"])
    told = f"{count} pairs and thumbs are fewer than align.least_pairs ({params.least_pairs})"
    return Breach("pairs", count, told) if count < params.least_pairs else None


def _train(ready: Prepared, watch: Watch) -> Result:
    objective = PreferenceObjective(ready.held_out.config)
    loop = training.trainer(
        ready.params,
        ready.decoder,
        batches=ready.batches,
        objective=objective,
        evaluate=watch,
        watch=WATCHED,
        checkpoints=ready.checkpoints,
        metrics=StepLog(stage.STATE / "runs" / "align" / "metrics.jsonl", objective.figures),
    )
    watch.stop = lambda: _end(loop)
    result = loop.run()
    stage.timings(train_tokens_per_s=result.tokens_per_s)
    return result


def _end(run: Trainer) -> None:
    """Have the loop end after the evaluation that it is in; a plateau would plan anew."""
    run.config = replace(run.config, patience=None)
    run.progress.steps = run.progress.step


def _final_figures(final: dict[str, float], said: Said) -> dict[str, float]:
    """The last evaluation by the names of the metrics file: without val/ but where it would be mistaken."""
    plain = {name.removeprefix("val/"): value for name, value in final.items()}
    named = {f"val_{name}": plain.pop(name) for name in ("loss", "bits_per_byte")}
    reference = {"reference_distinct_2": said.distinct_2, "reference_sampled_tokens": said.tokens / said.answers}
    return plain | named | reference


def _stopped(breach: Breach | None, step: int, kept: int) -> dict[str, str | float | None]:
    return {
        "stopped_by": None if breach is None else breach.name,
        "stopped_at": None if breach is None else breach.value,
        "stopped_at_step": None if breach is None else step,
        "kept_step": kept,
    }


def _tell(figures: dict[str, float | int | str | None], folder: Path) -> None:
    names = ("accuracy", "margin", "kl_from_reference", "length_ratio", "chosen_log_prob_gain_per_token")
    log.info("%s; the model is in %s", ", ".join(f"{name} {figures[name]:.4f}" for name in names), folder)
