"""Stage pretrain: token files to the base model, by next-token prediction.

Everything that decides a byte of the weights is in the parameters, the token files, the machine's kind of CPU and
torch itself; a run that is killed goes on from its newest checkpoint and ends in the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tasks import stage
from tasks.stage import Params, UserError

if TYPE_CHECKING:
    import torch

    from model.batches import Documents, PackedBatches
    from model.decoder import Decoder
    from model.training import Evaluation, Result

log = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]

COMPILE_PAYS_FROM_TOKENS = {"bf16": 400_000, "fp32": 4_000_000}  # below, compiling costs more than it saves


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


class OptimiserParams(Params):
    """The update; see model.muon.OptimiserConfig."""

    kind: Literal["muon", "adamw"]
    muon_lr: Positive
    adamw_lr: Positive
    muon_momentum: Share
    betas: tuple[Share, Share]
    weight_decay: Annotated[float, Field(ge=0.0)]
    newton_schulz_steps: Count
    clip_norm: Positive


class ScheduleParams(Params):
    """The rates over the run; see model.schedule.Schedule."""

    warmup_steps: Annotated[int, Field(ge=0)]
    decay_share: Share
    final_share: Share


class Sampling(Params):
    """What is generated at each evaluation, to be read by people."""

    prompts: tuple[str, ...]
    max_tokens: Count
    temperature: Annotated[float, Field(ge=0.0)]
    top_p: Annotated[float, Field(gt=0.0, le=1.0)]


class PretrainParams(Params):
    """The section `pretrain` of params.yaml; each key is explained there."""

    model: Shape
    optimiser: OptimiserParams
    schedule: ScheduleParams
    sampling: Sampling
    budget_tokens: Count
    batch_tokens: Count
    micro_batch_tokens: Count | Literal["auto"]
    packing: Literal["stream", "whole"]
    isolate_documents: bool
    evaluations: Count
    evaluation_documents: Count
    final_evaluation_documents: Count | None
    patience: Count | None
    min_gain: Annotated[float, Field(ge=0.0)]
    seed: Annotated[int, Field(ge=0)]
    threads: Count
    compile: Literal["auto", "blocks", "off"]
    precision: Literal["auto", "bf16", "fp32"]
    device: Literal["auto", "cpu", "cuda"]


def pretrain(params: PretrainParams, *, tokens: Path, tokenizer: Path, model: Path, metrics: Path, curve: Path) -> None:
    """Train a decoder on token files and write the model folder, its figures and its curve.

    tokens: the folder of token files; tokenizer: tokenizer.json or its folder. Raises UserError in one line.
    """
    tokenizer = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    if not tokenizer.exists():
        raise UserError(f"{tokenizer}: no such file; the stage tokenize makes it, run `dvc repro`")
    try:
        _pretrain(params, tokens=tokens, tokenizer=tokenizer, folder=model, metrics=metrics, curve=curve)
    except ValueError as error:
        raise UserError(str(error)) from error


def _pretrain(
    params: PretrainParams, *, tokens: Path, tokenizer: Path, folder: Path, metrics: Path, curve: Path
) -> None:
    import torch

    from model.batches import read_documents
    from model.checkpoint import Checkpoints, save_model
    from model.scoring import bits_per_byte

    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str((stage.STATE / "compile").absolute())
    torch.set_num_threads(params.threads)
    device = _device(params.device)
    precision = _precision(params.precision, device)
    train, validation = read_documents(tokens, "train"), read_documents(tokens, "validation")
    decoder = _new_model(params, tokens=tokens, precision=precision, device=device)
    batches = _batches(params, train)
    steps = max(1, -(-params.budget_tokens // params.batch_tokens))
    compiled = _compile(params, decoder, rows=_micro_rows(params, device), precision=precision)
    _announce(params, decoder, batches, steps=steps, precision=precision, compiled=compiled)
    key = _run_key(params, tokens, facts=[torch.__version__, precision, str(compiled), device.type])
    checkpoints = Checkpoints(stage.STATE / "checkpoints" / "pretrain" / key)
    result = _train(params, decoder, batches, validation, tokenizer, checkpoints, steps=steps)
    save_model(folder, decoder, tokenizer=tokenizer)
    final = bits_per_byte(decoder, validation, limit=params.final_evaluation_documents)
    _write_curve(curve, result)
    _write_figures(metrics, decoder, result, epochs=batches.epochs_at(result.progress.step), bits_per_byte=final)
    stage.timings(train_tokens_per_s=result.tokens_per_s)
    checkpoints.remove()
    log.info("%.4f bits per byte on the validation split; the model is in %s", final, folder)


def _device(wanted: str) -> torch.device:
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("pretrain.device is cuda, but torch sees no GPU here; allowed: auto, cpu, cuda")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _precision(wanted: str, device: torch.device) -> Literal["bf16", "fp32"]:
    """What matrices are multiplied in. auto goes by the kind of processor, never by a measurement: same bytes."""
    if wanted in ("bf16", "fp32"):
        return "bf16" if wanted == "bf16" else "fp32"
    return "bf16" if device.type == "cuda" or fast_bf16(Path("/proc/cpuinfo")) else "fp32"


def fast_bf16(cpuinfo: Path) -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32: AMX, or AVX512-BF16 on AMD.

    Measured on 2 threads: AMD EPYC 4.8 times float32 a core; Intel Xeon (model 207) without AMX .5 times.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    words = set(text.split())
    return "amx_bf16" in words or ("avx512_bf16" in words and "AuthenticAMD" in words)


def _new_model(params: PretrainParams, *, tokens: Path, precision: str, device: torch.device) -> Decoder:
    import torch

    from model.batches import read_documents, vocabulary_size
    from model.config import ModelConfig
    from model.decoder import Decoder, initialise

    end_id = read_documents(tokens, "train").end_id
    config = ModelConfig(vocabulary_size=vocabulary_size(tokens), end_id=end_id, **params.model.model_dump())
    decoder = Decoder(config, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    initialise(decoder, generator=torch.Generator().manual_seed(params.seed))
    if line := config.why_not_exportable():
        log.warning("%s", line)
    return decoder.to(device)


def _batches(params: PretrainParams, train: Documents) -> PackedBatches:
    from model.batches import PackedBatches

    context = params.model.context
    if params.batch_tokens % context:
        raise UserError(f"pretrain.batch_tokens={params.batch_tokens} is not a multiple of the context of {context}")
    return PackedBatches(
        train,
        context=context,
        rows=params.batch_tokens // context,
        packing=params.packing,
        isolate=params.isolate_documents,
        seed=params.seed,
    )


def _micro_rows(params: PretrainParams, device: torch.device) -> int:
    """Rows of a forward pass: the most that divide the batch's and stay within micro_batch_tokens."""
    wanted = params.micro_batch_tokens
    limit = (2_048 if device.type == "cpu" else 65_536) if wanted == "auto" else wanted
    rows = params.batch_tokens // params.model.context
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * params.model.context <= limit))


def _compile(params: PretrainParams, decoder: Decoder, *, rows: int, precision: str) -> bool:
    """Compile the layers where it pays and can be done."""
    pays = params.budget_tokens >= COMPILE_PAYS_FROM_TOKENS[precision]
    if params.compile == "off" or (params.compile == "auto" and not pays):
        return False
    if decoder.device.type == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
        log.warning("no C++ compiler here (g++, or what CXX names): training without torch.compile, slower")
        return False
    decoder.compile_blocks(rows=rows, positions=params.model.context)
    return True


def _announce(
    params: PretrainParams, decoder: Decoder, batches: PackedBatches, *, steps: int, precision: str, compiled: bool
) -> None:
    log.info(
        "%s parameters, %s steps of %s tokens (%.2f epochs of %s documents), %s, %s, %s thread%s",
        f"{decoder.parameter_count():,}",
        f"{steps:,}",
        f"{params.batch_tokens:,}",
        batches.epochs_at(steps),
        f"{len(batches.documents):,}",
        precision,
        "compiled by layer" if compiled else "eager",
        params.threads,
        "s" if params.threads > 1 else "",
    )


def _train(
    params: PretrainParams,
    decoder: Decoder,
    batches: PackedBatches,
    validation: Documents,
    tokenizer: Path,
    checkpoints: object,
    *,
    steps: int,
) -> Result:
    from model.checkpoint import Checkpoints
    from model.muon import Optimiser, OptimiserConfig
    from model.schedule import Schedule
    from model.training import MetricsLog, Trainer, TrainingConfig, next_token_loss

    assert isinstance(checkpoints, Checkpoints)
    optimiser = params.optimiser.model_dump(exclude={"clip_norm"})
    return Trainer(
        decoder,
        batches=batches,
        objective=next_token_loss,
        optimiser=Optimiser(decoder, OptimiserConfig(**optimiser), matmul_dtype=decoder.dtype),
        schedule=Schedule(steps=steps, **params.schedule.model_dump()),
        config=TrainingConfig(
            micro_rows=_micro_rows(params, decoder.device),
            clip_norm=params.optimiser.clip_norm,
            evaluate_every=-(-steps // params.evaluations),
            log_every=max(1, steps // 200),
            patience=params.patience,
            min_gain=params.min_gain,
            watch="val/bits_per_byte",
        ),
        evaluate=_evaluation(params, validation, tokenizer),
        checkpoints=checkpoints,
        metrics=MetricsLog(stage.STATE / "runs" / "pretrain" / "metrics.jsonl"),
    ).run()


def _evaluation(params: PretrainParams, validation: Documents, tokenizer: Path) -> Evaluation:
    from tokenizers import Tokenizer

    from model.generation import Decoding, generate
    from model.scoring import bits_per_byte

    codec = Tokenizer.from_file(str(tokenizer))
    sampling = params.sampling
    decoding = Decoding(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=0,
        repetition_penalty=1.0,
    )
    prompts = [codec.encode(prompt, add_special_tokens=False).ids for prompt in sampling.prompts]

    def evaluate(decoder: Decoder, step: int) -> dict[str, float]:
        seeds = [params.seed + at for at in range(len(prompts))]
        for prompt, ids in zip(
            sampling.prompts, generate(decoder, prompts, decoding=decoding, seeds=seeds), strict=True
        ):
            _note_sample(step, prompt, codec.decode(ids))
        return {"val/bits_per_byte": bits_per_byte(decoder, validation, limit=params.evaluation_documents)}

    return evaluate


def _note_sample(step: int, prompt: str, text: str) -> None:
    log.info("sample | %s", f"{prompt}{text}".replace("\n", " "))
    path = stage.STATE / "runs" / "pretrain" / "samples.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "prompt": prompt, "text": text}, ensure_ascii=False) + "\n")


def _run_key(params: PretrainParams, tokens: Path, *, facts: list[str]) -> str:
    """What a checkpoint belongs to: parameters, token files, and what else decides the bytes."""
    digest = hashlib.sha256(json.dumps([params.model_dump(mode="json"), facts], sort_keys=True).encode())
    for path in sorted(tokens.glob("train.*")) + sorted(tokens.glob("validation.*")) + [tokens / "meta.json"]:
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _write_curve(path: Path, result: Result) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tokens", "train_loss", "val_bits_per_byte"])
    for point in result.progress.history:
        loss, bits = f"{point['train/loss']:.6f}", f"{point['val/bits_per_byte']:.6f}"
        writer.writerow([int(point["step"]), int(point["tokens"]), loss, bits])
    stage.write_text(path, text.getvalue())


def _write_figures(path: Path, decoder: Decoder, result: Result, *, epochs: float, bits_per_byte: float) -> None:
    last = result.progress.history[-1]
    stage.write_metrics(
        path,
        {
            "parameters": decoder.parameter_count(),
            "train_tokens": result.progress.tokens,
            "train_steps": result.progress.step,
            "train_epochs": epochs,
            "train_loss": last["train/loss"],
            "val_bits_per_byte": bits_per_byte,
        },
    )


if __name__ == "__main__":
    stage.main(pretrain)
