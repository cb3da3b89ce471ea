"""How far preference training may lead before it is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHOSEN_GAIN, KL, LENGTH = "val/chosen_log_prob_gain_per_token", "val/kl_from_reference", "val/length_ratio"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the figures of examples not trained on may come to; raises ValueError where a bound is not above 0."""

    chosen_drop: float  # nats a token that the chosen answers may get less likely than by the reference
    kl: float  # nats a token, of the k3 estimate
    length_drift: float  # share by which sampled answers may get longer or shorter than the reference's

    def __post_init__(self) -> None:
        if not min(self.chosen_drop, self.kl, self.length_drift) > 0:
            raise ValueError(
                f"chosen_drop={self.chosen_drop}, kl={self.kl}, length_drift={self.length_drift}: must be above 0"
            )


@dataclass(frozen=True)
class Breach:
    """A bound that was passed. name: the figure's, without val/; told: one line on it."""

    name: str
    value: float
    told: str


def breach(figures: Mapping[str, float], bounds: Bounds) -> Breach | None:
    """The first bound that an evaluation's figures pass, None where they keep to all; NaN passes it."""
    checks = (
        (CHOSEN_GAIN, -figures[CHOSEN_GAIN], bounds.chosen_drop, "the chosen answers' log-probability collapses"),
        (KL, figures[KL], bounds.kl, "the model is too far from the reference"),
        (LENGTH, abs(figures[LENGTH] - 1.0), bounds.length_drift, "the length of sampled answers drifts"),
    )
    for name, value, bound, what in checks:
        if not value <= bound:
            told = f"{what}: {name} {figures[name]:.4g} (bound {bound:g})"
            return Breach(name.removeprefix("val/"), figures[name], told)
    return None
