"""What every training stage shares: its parameters, where and how it computes, its run's key, curve and samples.

Everything that decides a byte of the weights is in the parameters, the files that are read, the machine's kind of CPU
and torch itself; a run that is killed goes on from its newest checkpoint and ends in the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tasks import stage
from tasks.stage import Params, UserError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from model.batches import BatchSource, PackedBatches, Packing
    from model.checkpoint import Checkpoints
    from model.decoder import Decoder
    from model.documents import Documents
    from model.training import Evaluation, MetricsLog, Objective, Result, Trainer

log = logging.getLogger(__name__)

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Precision = Literal["bf16", "fp32"]

COMPILE_PAYS_FROM_TOKENS = 4_000_000  # below, compiling costs more than it saves


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


class TrainingParams(Params):
    """What a section of a training stage holds; each key is explained in params.yaml."""

    optimiser: OptimiserParams
    schedule: ScheduleParams
    sampling: Sampling
    budget_tokens: Count
    batch_tokens: Count
    micro_batch_tokens: Count | Literal["auto"]
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

    @property
    def steps(self) -> int:
        """Optimiser steps that the budget allows."""
        return max(1, -(-self.budget_tokens // self.batch_tokens))


def prepare_torch(params: TrainingParams) -> None:
    """Threads, and the one compile cache of the workspace."""
    import torch

    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str((stage.STATE / "compile").absolute())
    torch.set_num_threads(params.threads)


def resolve_device(params: TrainingParams) -> torch.device:
    """Where to compute. Raises UserError where a GPU is wanted and there is none."""
    import torch

    if params.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no GPU here; allowed: auto, cpu, cuda")
    return torch.device("cuda" if params.device != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_precision(params: TrainingParams, device: torch.device) -> Precision:
    """What matrices are multiplied in. auto goes by the kind of processor, never by a measurement: same bytes."""
    if params.precision != "auto":
        return params.precision
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


def load_base(params: TrainingParams, folder: Path) -> tuple[Decoder, Precision]:
    """A model folder's decoder where and in what the parameters say that it learns. Raises ValueError."""
    import torch

    from model.checkpoint import load_model

    device = resolve_device(params)
    precision = resolve_precision(params, device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return load_model(folder, dtype=dtype, device=str(device)).train(), precision


def packed_batches(
    params: TrainingParams, documents: Documents, *, context: int, packing: Packing, isolate: bool
) -> PackedBatches:
    """Optimiser steps' batches of documents. Raises UserError where batch_tokens are no whole rows."""
    from model.batches import PackedBatches

    rows = rows_of_a_batch(params, context)
    return PackedBatches(documents, context=context, rows=rows, packing=packing, isolate=isolate, seed=params.seed)


def rows_of_a_batch(params: TrainingParams, context: int) -> int:
    """Rows of an optimiser step. Raises UserError where they are not whole."""
    if params.batch_tokens % context:
        raise UserError(f"batch_tokens={params.batch_tokens} is not a multiple of the context of {context}")
    return params.batch_tokens // context


def micro_rows(params: TrainingParams, context: int, device: torch.device) -> int:
    """Rows of a forward pass: the most that divide the batch's and stay within micro_batch_tokens."""
    wanted = params.micro_batch_tokens
    limit = (2_048 if device.type == "cpu" else 65_536) if wanted == "auto" else wanted
    rows = params.batch_tokens // context
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * context <= limit))


def compile_layers(params: TrainingParams, decoder: Decoder) -> bool:
    """Compile the layers where it pays and can be done; whether it was done."""
    pays = params.budget_tokens >= COMPILE_PAYS_FROM_TOKENS
    if params.compile == "off" or (params.compile == "auto" and not pays):
        return False
    if decoder.device.type == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
        log.warning("no C++ compiler here (g++, or what CXX names): training without torch.compile, slower")
        return False
    context = decoder.config.context
    decoder.compile_blocks(rows=micro_rows(params, context, decoder.device), positions=context)
    return True


def announce(params: TrainingParams, decoder: Decoder, *, epochs: str, precision: Precision, compiled: bool) -> None:
    """One line on what is about to be trained. epochs: how often which data will be seen."""
    trained = sum(parameter.numel() for parameter in decoder.parameters() if parameter.requires_grad)
    log.info(
        "%s parameters%s, %s steps of %s tokens (%s), %s, %s, %s thread%s",
        f"{decoder.parameter_count():,}",
        "" if trained == decoder.parameter_count() else f" ({trained:,} of them trained)",
        f"{params.steps:,}",
        f"{params.batch_tokens:,}",
        epochs,
        precision,
        "compiled by layer" if compiled else "eager",
        params.threads,
        "s" if params.threads > 1 else "",
    )


def train(
    params: TrainingParams,
    decoder: Decoder,
    *,
    name: str,
    key: str,
    batches: BatchSource,
    objective: Objective,
    evaluate: Evaluation,
    watch: str,
) -> Result:
    """One run of the training loop, from its newest checkpoint where there is one, which is dropped at its end.

    name: the stage; key: of `run_key`; watch: the figure of `evaluate` that the plateau is looked for in.
    """
    from model.checkpoint import Checkpoints
    from model.training import MetricsLog

    checkpoints = Checkpoints(stage.STATE / "checkpoints" / name / key)
    result = trainer(
        params,
        decoder,
        batches=batches,
        objective=objective,
        evaluate=evaluate,
        watch=watch,
        checkpoints=checkpoints,
        metrics=MetricsLog(stage.STATE / "runs" / name / "metrics.jsonl"),
    ).run()
    stage.timings(train_tokens_per_s=result.tokens_per_s)
    checkpoints.remove()
    return result


def trainer(
    params: TrainingParams,
    decoder: Decoder,
    *,
    batches: BatchSource,
    objective: Objective,
    evaluate: Evaluation,
    watch: str,
    checkpoints: Checkpoints | None,
    metrics: MetricsLog | None,
) -> Trainer:
    """The training loop as the parameters have it. checkpoints, metrics: where it notes itself, None: nowhere."""
    from model.muon import Optimiser, OptimiserConfig
    from model.schedule import Schedule
    from model.training import Trainer, TrainingConfig

    config = OptimiserConfig(**params.optimiser.model_dump(exclude={"clip_norm"}))
    return Trainer(
        decoder,
        batches=batches,
        objective=objective,
        optimiser=Optimiser(decoder, config, matmul_dtype=decoder.dtype),
        schedule=Schedule(steps=params.steps, **params.schedule.model_dump()),
        config=TrainingConfig(
            micro_rows=micro_rows(params, decoder.config.context, decoder.device),
            clip_norm=params.optimiser.clip_norm,
            evaluate_every=-(-params.steps // params.evaluations),
            log_every=max(1, params.steps // 200),
            patience=params.patience,
            min_gain=params.min_gain,
            watch=watch,
        ),
        evaluate=evaluate,
        checkpoints=checkpoints,
        metrics=metrics,
    )


SAMPLES_TOLD = 3  # at each evaluation, in the log


class Samples:
    """Answers to a few prompts, the first of them told in the log, all kept in var/runs/STAGE/samples.jsonl."""

    def __init__(
        self, sampling: Sampling, *, name: str, prompts: Sequence[list[int]], codec: Tokenizer, stop: int | None
    ) -> None:
        self.sampling = sampling
        self.path = stage.STATE / "runs" / name / "samples.jsonl"
        self.prompts = prompts
        self.codec = codec
        self.stop = [] if stop is None else [stop]

    def tell(self, decoder: Decoder, *, step: int, seed: int) -> None:
        """Generate and note one answer a prompt."""
        from model.generation import Decoding, generate

        decoding = Decoding(
            max_tokens=self.sampling.max_tokens,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
        )
        seeds = [seed + at for at in range(len(self.prompts))]
        answers = generate(decoder, self.prompts, decoding=decoding, seeds=seeds, stop=self.stop)
        texts = [self.codec.decode(ids) for ids in answers]
        gap = " -> " if self.stop else ""
        for prompt, text in list(zip(self.sampling.prompts, texts, strict=True))[:SAMPLES_TOLD]:
            log.info("sample | %s", f"{prompt}{gap}{text}".replace("\n", " "))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            for prompt, text in zip(self.sampling.prompts, texts, strict=True):
                file.write(json.dumps({"step": step, "prompt": prompt, "text": text}, ensure_ascii=False) + "\n")

    def write(self, path: Path, *, steps: Collection[int]) -> None:
        """The answers at these steps as JSON Lines of step, prompt and text: what the model said on the way.

        The file in var/ goes on over runs and resumes; what was said last at a step is this run's.
        """
        last: dict[tuple[int, str], str] = {}
        for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:  # a text may hold other line ends
            told = json.loads(line)
            if told["step"] in steps:
                last[told["step"], told["prompt"]] = line
        prompts = {prompt: at for at, prompt in enumerate(self.sampling.prompts)}
        mine = sorted((key for key in last if key[1] in prompts), key=lambda key: (key[0], prompts[key[1]]))
        stage.write_text(path, "".join(f"{last[key]}\n" for key in mine))


def run_key(params: TrainingParams, files: Iterable[Path], *, facts: Sequence[str]) -> str:
    """What a checkpoint belongs to: parameters, the files read, and what else decides the bytes."""
    import torch

    told = [params.model_dump(mode="json"), [torch.__version__, *facts]]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path in sorted(files):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def write_curve(path: Path, result: Result, figures: Sequence[str]) -> None:
    """The evaluations of a run as CSV: step, tokens, train_loss and the named figures (`val/loss` is val_loss)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tokens", "train_loss", *(name.replace("/", "_") for name in figures)])
    for point in result.progress.history:
        values = [f"{point[name]:.6f}" for name in ("train/loss", *figures)]
        writer.writerow([int(point["step"]), int(point["tokens"]), *values])
    stage.write_text(path, text.getvalue())


def run_figures(result: Result) -> dict[str, float | int]:
    """Tokens, steps and the last mean loss of a run, by their names in the metrics file."""
    progress = result.progress
    return {
        "train_tokens": progress.tokens,
        "train_steps": progress.step,
        "train_loss": progress.history[-1]["train/loss"],
    }
