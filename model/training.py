"""The training loop: micro-batches, clipping, schedule, evaluation, checkpoints; what is learnt comes in as arguments.

The weights after step n are a function of (config, data, seed, threads, torch): a run that was killed and resumed ends
in the same bytes as one that was not.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.batches import Batch, BatchSource
from model.checkpoint import Checkpoints
from model.decoder import Decoder
from model.documents import IGNORE
from model.gradients import token_loss
from model.muon import Optimiser, clip
from model.schedule import Schedule

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 5.0

Objective = Callable[[Decoder, Batch], Tensor]  # the sum of the losses of a micro-batch's targets, in nats
Evaluation = Callable[[Decoder, int], dict[str, float]]  # (model, step) to figures by MLflow's names


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long, in which portions, watched how often. Everything in optimiser steps, rows or norms."""

    micro_rows: int  # rows of one forward and backward pass
    clip_norm: float
    evaluate_every: int
    log_every: int
    patience: int | None  # evaluations without a gain before the decay is brought forward; None: never
    min_gain: float  # what counts as a gain, in the unit of the watched figure
    watch: str  # the figure that patience looks at, lower is better


@dataclass
class Progress:
    """Where a run stands; everything of it is in a checkpoint."""

    step: int = 0
    tokens: int = 0  # targets trained on
    interval_loss: float = 0.0  # sum of nats since the last evaluation
    interval_tokens: int = 0
    log_lines: int = 0  # of the metrics file, to cut it back to
    steps: int = 0  # planned; a plateau makes them fewer
    history: list[dict[str, float]] = field(default_factory=list)  # one entry an evaluation


class MetricsLog:
    """A JSON Lines file of metrics, one object a line: {"time": unix ms, "step": n, "<name>": value, ...}."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, lines: int) -> None:
        """Cut the file back to its first lines: what was written after the state that a run resumes from."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self.path.read_bytes().splitlines(keepends=True)[:lines] if lines and self.path.exists() else []
        self.path.write_bytes(b"".join(kept))

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append one line and flush it."""
        line = {"time": time.time_ns() // 1_000_000, "step": step, **figures}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Result:
    """What a run came to. tokens_per_s: tokens read, taught or not, over the steps of this process,
    evaluation and compiling left out."""

    progress: Progress
    tokens_per_s: float


def next_token_loss(model: Decoder, batch: Batch) -> Tensor:
    """Sum of the cross entropies of a batch's targets, in nats; a scalar, float32."""
    hidden = model.hidden(batch.inputs, positions=batch.positions, documents=batch.documents)  # (B, T, C)
    return token_loss(hidden.flatten(0, 1), model.output_weight(), batch.targets.flatten(), ignore=IGNORE)


def answer_loss(model: Decoder, batch: Batch) -> Tensor:
    """Sum of the cross entropies of a batch's targets, in nats, each times what it counts. A scalar, float32.

    Only the targets' logits are ever computed.
    """
    hidden = model.hidden(batch.inputs, positions=batch.positions, documents=batch.documents)  # (B, T, C)
    taught = batch.targets != IGNORE
    counts = None if batch.counts is None else batch.counts[taught]
    return token_loss(hidden[taught], model.output_weight(), batch.targets[taught], ignore=IGNORE, counts=counts)


class Trainer:
    """One run: build it, then `run` it. What varies (data, loss, evaluation, files) is an argument."""

    def __init__(
        self,
        model: Decoder,
        *,
        batches: BatchSource,
        objective: Objective,
        optimiser: Optimiser,
        schedule: Schedule,
        config: TrainingConfig,
        evaluate: Evaluation,
        checkpoints: Checkpoints | None,
        metrics: MetricsLog | None,
    ) -> None:
        self.model = model
        self.batches = batches
        self.objective = objective
        self.optimiser = optimiser
        self.schedule = schedule
        self.config = config
        self.evaluate = evaluate
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.progress = Progress(steps=schedule.steps)
        self.clock = _Clock()

    def run(self) -> Result:
        """Train to the end of the schedule, from the newest checkpoint where there is one."""
        self._resume()
        progress = self.progress
        while progress.step < progress.steps:
            started = time.monotonic()
            loss, norm = self.train_step()
            self.clock.add(time.monotonic() - started)
            if self._due(self.config.log_every):
                self._write({**loss, "train/gradient_norm": norm, "train/tokens": float(progress.tokens)})
            self.clock.report(progress, loss["train/loss"])
            if self._due(self.config.evaluate_every):
                self._save()
                self._evaluate()
        return Result(progress, self.clock.tokens_per_s())

    def train_step(self) -> tuple[dict[str, float], float]:
        """One optimiser step. Returns the mean loss in nats and the rate's scale by name, and the gradients' norm."""
        progress = self.progress
        batch = self.batches.batch(progress.step)
        count = batch.target_count()
        total = 0.0
        for part in batch.split(self.config.micro_rows):
            loss = self.objective(self.model, part.to(self.model.device))
            (loss / max(1, count)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise ValueError(f"the loss is {total} at step {progress.step + 1}: lower the learning rates")
        norm = float(clip(self.optimiser.gradients(), limit=self.config.clip_norm))
        scale = self.schedule.scale(progress.step)
        self.optimiser.step(step=progress.step, scale=scale)
        self.optimiser.zero_grad()
        progress.step += 1
        progress.tokens += count
        progress.interval_loss += total
        progress.interval_tokens += count
        self.clock.tokens += batch.token_count()
        return {"train/loss": total / max(1, count), "train/lr_scale": scale}, norm

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.progress.steps

    def _evaluate(self) -> None:
        progress = self.progress
        figures = self.evaluate(self.model, progress.step)
        mean = progress.interval_loss / max(1, progress.interval_tokens)
        progress.history.append({"step": progress.step, "tokens": progress.tokens, "train/loss": mean, **figures})
        progress.interval_loss, progress.interval_tokens = 0.0, 0
        self._write(figures)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        log.info("step %d of %d: train/loss %.4f, %s", progress.step, progress.steps, mean, shown)
        self._look_for_plateau()

    def _look_for_plateau(self) -> None:
        config, progress = self.config, self.progress
        watched = [point[config.watch] for point in progress.history]
        if config.patience is None or not plateau(watched, config.patience, config.min_gain):
            return
        if self.schedule.decays_at(progress.step):
            progress.steps = progress.step
        else:
            self.schedule = self.schedule.decaying_from(progress.step)
            progress.steps = self.schedule.steps
        log.info(
            "%s has not gained %g in %d evaluations: the run ends at step %d",
            config.watch,
            config.min_gain,
            config.patience,
            progress.steps,
        )

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"optimiser/{name}": tensor for name, tensor in self.optimiser.state.items()}
        state = asdict(self.progress) | {"schedule": asdict(self.schedule)}
        self.checkpoints.save(step=self.progress.step, tensors=tensors, state=state)

    def _resume(self) -> None:
        found = self.checkpoints.latest() if self.checkpoints is not None else None
        if found is not None:
            self._restore(*found)
        if self.metrics is not None:
            self.metrics.keep(self.progress.log_lines)
        if found is not None:
            log.info("resuming after step %d of %d", self.progress.step, self.progress.steps)
            self._evaluate()  # a checkpoint is saved before its evaluation

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.schedule = Schedule(**state.pop("schedule"))
        self.progress = Progress(**state)
        load_weights(self.model, tensors)
        with torch.no_grad():
            for name, tensor in self.optimiser.state.items():
                tensor.copy_(tensors[f"optimiser/{name}"])

    def _write(self, figures: dict[str, float]) -> None:
        if self.metrics is not None:
            self.metrics.write(self.progress.step, figures)
            self.progress.log_lines += 1


def load_weights(model: Decoder, tensors: dict[str, Tensor]) -> None:
    """Give a model the weights of a checkpoint of `Trainer`."""
    model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})


def plateau(values: list[float], patience: int, min_gain: float) -> bool:
    """Whether the last `patience` values all failed to go min_gain below the best before them."""
    if len(values) <= patience:
        return False
    return min(values[-patience:]) > min(values[:-patience]) - min_gain


class _Clock:
    """Seconds of the steps alone, and a line on them every few seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0
        self.tokens = 0
        self.first: tuple[float, int] | None = None  # the first step: compiling, page faults
        self.last_report = time.monotonic()

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.steps += 1
        if self.first is None:
            self.first = (seconds, self.tokens)

    def tokens_per_s(self) -> float:
        seconds, tokens = self.first or (0.0, 0)
        if self.tokens == tokens:
            return self.tokens / self.seconds if self.seconds else 0.0
        return (self.tokens - tokens) / (self.seconds - seconds)

    def report(self, progress: Progress, loss: float) -> None:
        if time.monotonic() - self.last_report < PROGRESS_EVERY_S:
            return
        self.last_report = time.monotonic()
        rate = self.tokens_per_s()
        left = (progress.steps - progress.step) * self.tokens / max(1, self.steps) / rate if rate else 0.0
        log.info(
            "step %d of %d: loss %.3f, %s tokens/s, %d:%02d left",
            progress.step,
            progress.steps,
            loss,
            f"{rate:,.0f}",
            *divmod(round(left), 60),
        )
