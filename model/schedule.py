"""Learning rate over a run: warm-up, stable, decay (arXiv:2405.18392)."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A trapezoid: linear up over warmup_steps, flat, linear down over the last decay_share of the steps."""

    steps: int
    warmup_steps: int
    decay_share: float
    final_share: float  # of the peak rate, reached after the last step

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup_steps < 0:
            raise ValueError(f"steps={self.steps} must be at least 1 and warmup_steps={self.warmup_steps} at least 0")
        if not 0.0 <= self.decay_share <= 1.0 or not 0.0 <= self.final_share <= 1.0:
            raise ValueError(f"decay_share={self.decay_share}, final_share={self.final_share}: must be between 0 and 1")

    def scale(self, step: int) -> float:
        """The share of the peak rate at a step counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        decay_steps = max(1.0, self.decay_share * self.steps)
        left = min(1.0, (self.steps - step) / decay_steps)
        return self.final_share + (1.0 - self.final_share) * left

    def decaying_from(self, step: int) -> Schedule:
        """The same trapezoid, shortened so that its decay starts at `step`; itself where it starts there or before."""
        steps = round(step / (1.0 - self.decay_share)) if self.decay_share < 1.0 else self.steps
        return replace(self, steps=min(self.steps, max(steps, step + 1)))

    def decays_at(self, step: int) -> bool:
        """Whether the decay has begun."""
        return step >= (1.0 - self.decay_share) * self.steps
