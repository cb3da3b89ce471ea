"""What is looked at while a model is aligned, where it is stopped, and what is kept then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.training import MetricsLog, load_weights
from tasks.aligning.answering import Questions, Said, said_figures
from tasks.training import Samples

if TYPE_CHECKING:
    from model.checkpoint import Checkpoints
    from model.decoder import Decoder
    from model.documents import Documents
    from model.preferences.bounds import Bounds, Breach
    from model.preferences.judged import Judged, Reference
    from model.preferences.losses import PreferenceConfig

log = logging.getLogger(__name__)

WATCHED, FORGETTING = "val/loss", "val/bits_per_byte"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What is not trained on: pairs, prompts to answer, pretraining text. said: the reference's answers."""

    pairs: Judged
    reference: Reference
    config: PreferenceConfig
    questions: Questions
    said: Said
    text: Documents

    def figures(self, decoder: Decoder, *, limit: int | None, said: Said | None = None) -> dict[str, float]:
        """What a model makes of `limit` pairs and documents, None: of all. said: its answers; else it is asked."""
        from model.preferences.objective import preference_figures
        from model.scoring import bits_per_byte

        return {
            **preference_figures(decoder, self.pairs, self.reference, self.config, limit=limit),
            **said_figures(said or self.questions.ask(decoder), self.said),
            FORGETTING: bits_per_byte(decoder, self.text, limit=limit),
        }


class Watch:
    """The evaluation of the training loop; where a bound is passed it calls `stop`, and the run ends there.

    too_few: where there is too little to learn from, that is the first breach.
    """

    def __init__(
        self, held_out: HeldOut, bounds: Bounds, samples: Samples, *, limit: int, seed: int, too_few: Breach | None
    ) -> None:
        self.held_out = held_out
        self.bounds = bounds
        self.samples = samples
        self.limit = limit
        self.seed = seed
        self.stop: Callable[[], None] = lambda: None
        self.breach: Breach | None = None
        self.too_few = too_few
        self.said: Said | None = None  # by the model of the latest evaluation

    def __call__(self, decoder: Decoder, step: int) -> dict[str, float]:
        """Figures by MLflow's names."""
        from model.preferences.bounds import breach

        self.samples.tell(decoder, step=step, seed=self.seed)
        self.said = self.held_out.questions.ask(decoder)
        figures = self.held_out.figures(decoder, limit=self.limit, said=self.said)
        self.breach = self.too_few or breach(figures, self.bounds)
        if self.breach is not None:
            log.warning("stopped at step %d: %s", step, self.breach.told)
            self.stop()
        return figures


class StepLog(MetricsLog):
    """The run's metrics, with what else there is to tell of each training step."""

    def __init__(self, path: Path, more: Callable[[], dict[str, float]]) -> None:
        super().__init__(path)
        self.more = more

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append one line and flush it."""
        super().write(step, figures | self.more() if "train/loss" in figures else figures)


def last_good(checkpoints: Checkpoints, start: Callable[[], Decoder], decoder: Decoder) -> tuple[Decoder, int]:
    """The model of the checkpoint before the newest, which broke a bound, and its step; else the start."""
    checkpoints.drop_newest()
    found = checkpoints.latest()
    if found is None:
        return start(), 0
    tensors, state = found
    load_weights(decoder, tensors)
    return decoder, int(state["step"])
