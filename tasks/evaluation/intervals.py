"""Bootstrap intervals of any figure of a test set, and of the difference of two (Efron 1979, percentile method).

A figure is a function of how often each row was drawn, so a mean, a ratio of sums, corpus BLEU and an area
under a curve are resampled alike. Letters: N rows, R resamples, K sums that a figure is made of.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # how often each row was drawn (R, N) -> the figure of each resample (R,)

FEWEST_GROUPS = 10  # so few groups say nothing of their spread: rows are drawn instead
_CELLS_AT_ONCE = 2_000_000  # of R x N, 16 MB


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How an interval is drawn: resamples, the share it should hold (.95), the seed."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """A figure with the ends of its interval; NaN where a sample leaves it undefined."""

    value: float
    low: float
    high: float

    def figures(self, name: str) -> dict[str, float | None]:
        """As metrics: `<name>`, `<name>_low`, `<name>_high`; None where undefined, since JSON knows no NaN."""
        ends = {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: end if math.isfinite(end) else None for key, end in ends.items()}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of N rows that can be asked for on any resample of them."""

    rows: int
    statistic: Statistic

    @property
    def value(self) -> float:
        """The figure of the rows as they are."""
        return float(self.statistic(np.ones((1, self.rows)))[0])


def mean(scores: Sequence[float] | Floats) -> Measure:
    """The mean of one score a row; NaN without rows."""
    return ratio(scores, np.ones(len(scores)))


def ratio(parts: Sequence[float] | Floats, wholes: Sequence[float] | Floats) -> Measure:
    """The sum of the parts over the sum of the wholes; NaN where that is 0 / 0."""
    sums = np.stack([np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)], axis=1)
    return of_sums(sums, lambda totals: divide(totals[:, 0], totals[:, 1]))


def of_sums(sums: Floats, figure: Callable[[Floats], Floats]) -> Measure:
    """A figure of the totals of what each row adds; sums: (N, K), figure: (R, K) -> (R,)."""
    return Measure(rows=len(sums), statistic=lambda drawn: figure(drawn @ sums))


def divide(parts: Floats, wholes: Floats) -> Floats:
    """Elementwise, NaN where the whole is 0."""
    shares: Floats = np.divide(parts, wholes, out=np.full(np.shape(parts), np.nan), where=wholes != 0)
    return shares


def interval(measure: Measure, bootstrap: Bootstrap, *, groups: Sequence[str] | None = None) -> tuple[float, float]:
    """The ends of a figure's bootstrap interval.

    groups: the group of each row ("" for a row of its own); whole groups are drawn, since questions about one
    story are not independent. With fewer than ten groups rows are drawn. Resamples in which the figure is
    undefined (one class only) are left out.
    """
    return _quantiles([measure.statistic(drawn) for drawn in _draws(measure.rows, bootstrap, groups)], bootstrap)


def with_interval(measure: Measure, bootstrap: Bootstrap, *, groups: Sequence[str] | None = None) -> Score:
    """A figure and its interval."""
    low, high = interval(measure, bootstrap, groups=groups)
    return Score(value=measure.value, low=low, high=high)


def difference(first: Measure, second: Measure, bootstrap: Bootstrap, *, groups: Sequence[str] | None = None) -> Score:
    """How much the first figure is above the second, both resampled on the same rows (paired).

    Raises ValueError where they are not of the same number of rows.
    """
    if first.rows != second.rows:
        raise ValueError(f"a paired difference needs the same rows; got {first.rows} and {second.rows}")
    both = Measure(rows=first.rows, statistic=lambda drawn: first.statistic(drawn) - second.statistic(drawn))
    return with_interval(both, bootstrap, groups=groups)


def _draws(rows: int, bootstrap: Bootstrap, groups: Sequence[str] | None) -> Iterator[Floats]:
    """How often each row was drawn, some resamples at a time; (r, N)."""
    rng = np.random.default_rng(bootstrap.seed)
    member, units = _units(rows, groups)
    at_once = max(1, _CELLS_AT_ONCE // max(1, rows))
    for start in range(0, bootstrap.resamples if rows else 0, at_once):
        count = min(at_once, bootstrap.resamples - start)
        drawn = rng.integers(0, units, size=(count, units)) + np.arange(count)[:, None] * units
        often = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
        yield often[:, member].astype(np.float64)


def _units(rows: int, groups: Sequence[str] | None) -> tuple[npt.NDArray[np.int64], int]:
    """The unit that each row is drawn with, and how many units there are."""
    if groups is not None:
        if len(groups) != rows:
            raise ValueError(f"{len(groups)} groups for {rows} rows")
        names = [group or f"row {at}" for at, group in enumerate(groups)]
        known = {name: unit for unit, name in enumerate(dict.fromkeys(names))}
        if len(known) >= FEWEST_GROUPS:
            return np.array([known[name] for name in names], dtype=np.int64), len(known)
    return np.arange(rows), rows


def _quantiles(parts: list[Floats], bootstrap: Bootstrap) -> tuple[float, float]:
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
