"""What measures are usual in good stories, and how many levels a text loses for being off them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Side = Literal["high", "low"]  # which end of a measure is the bad one

USUAL, EDGE = 0.9, 0.75  # shares of the way from level 1 to 5 at the reference's median and at its worst twentieth


@dataclass(frozen=True)
class Usual:
    """A measure among the reference's stories: its median and the twentieths at both ends."""

    low: float
    median: float
    high: float

    def steps(self, value: float, *, bad: Side, least: float, better: float, free: float) -> float:
        """How far off a value is: 0 at the median, 1 at the worst twentieth of the reference, further on linearly.

        least: the smallest step, where the reference is all alike; better: how far below 0 it may come, ever more
        slowly; free: how far off costs nothing.
        """
        step = max(least, self.high - self.median if bad == "high" else self.median - self.low)
        off = (value - self.median) / step if bad == "high" else (self.median - value) / step
        if off >= 0:
            return max(0.0, off - free)
        return -better * (1 - math.exp(off / better)) if better else 0.0


def usual(values: Sequence[float], weights: Sequence[float]) -> Usual:
    """The weighted quantiles .05, .5 and .95 of a measure."""
    order = np.argsort(np.asarray(values), kind="stable")
    share = np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    middle = (share - np.asarray(weights, dtype=np.float64)[order] / 2) / share[-1]
    low, median, high = np.interp([0.05, 0.5, 0.95], middle, np.asarray(values, dtype=np.float64)[order])
    return Usual(*(float(f"{value:.6g}") for value in (low, median, high)))


def level(steps: float) -> float:
    """A level by a logistic curve: 4.6 at the reference's median, 4 at its worst twentieth, 3 at twice that way."""
    usually, edge = math.log(USUAL / (1 - USUAL)), math.log(EDGE / (1 - EDGE))
    return 1 + 4 / (1 + math.exp(min(60.0, -(usually - (usually - edge) * steps))))


def pooled(steps: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Several measures as one: faults of different kinds add up, each step times its weight."""
    return sum(weights[name] * value for name, value in steps.items())
