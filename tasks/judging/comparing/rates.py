"""Win rates and scores of pairwise verdicts, each with a bootstrap interval drawn by prompt.

A tie is half a win. A verdict that failed is left out. Letters: N verdicts, R resamples, M models, P prompts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from tasks.evaluation.intervals import Bootstrap, Floats, Measure, Score, mean, with_interval
from tasks.judging.records import PairRecord, Winner

WON: Mapping[Winner, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
NOTHING = Score(value=math.nan, low=math.nan, high=math.nan)

PRIOR = 0.5  # of a win and of a loss for each two models: Jeffreys' prior, which keeps a clean sweep finite
LENGTH_RIDGE = 0.1  # on the length coefficient; of 100 verdicts it takes about a hundredth
ELO_POINTS, ELO_MEAN = 400 / math.log(10), 1_000.0  # the scale of chess, as in Chatbot Arena (arXiv:2403.04132)

_STEPS = 100  # Newton's method needs about 6, the iteration for M models up to some 50
_ENOUGH = 1e-9


def win_rate(pairs: Sequence[PairRecord], prompts: Sequence[str], *, bootstrap: Bootstrap) -> Score:
    """The share that the first of each pair won; NaN without a verdict. prompts: the prompt of each pair."""
    wins, groups, _ = _decided(pairs, prompts)
    return bounded_mean(wins, groups, bootstrap=bootstrap, lowest=0.0, highest=1.0)


def length_controlled_win_rate(
    pairs: Sequence[PairRecord],
    prompts: Sequence[str],
    lengths: Sequence[tuple[int, int]],
    *,
    kinds: Sequence[str] = (),
    bootstrap: Bootstrap,
) -> Score:
    """The win rate there would be at equal lengths (AlpacaEval 2: Dubois et al. 2024, arXiv:2404.04475, section 3).

    A logistic regression of the outcome on a constant and on tanh of the length difference in standard deviations,
    told at difference 0. lengths: characters of both answers of each pair; kinds: of each pair's prompt, since a
    difference of ten characters is much for a label and little for a story. The paper's term for the difficulty of
    an instruction needs many models and is left out. NaN without a verdict, and where every difference is the same
    and not 0, which tells nothing of equal lengths.
    """
    wins, groups, places = _decided(pairs, prompts)
    terms = length_terms([lengths[at] for at in places], [kinds[at] for at in places] if kinds else ())
    if not len(wins) or (terms[0] != 0 and np.all(terms == terms[0])):
        return NOTHING
    measure = Measure(rows=len(wins), statistic=lambda drawn: _sigmoid(_fitted(drawn, wins, terms)[0]))
    score = _with_curvature(with_interval(measure, bootstrap, groups=groups), wins, terms, bootstrap)
    return _with_unseen(score, wins, groups, bootstrap=bootstrap, lowest=0.0, highest=1.0)


def length_terms(lengths: Sequence[tuple[int, int]], kinds: Sequence[str] = ()) -> Floats:
    """tanh of each length difference over the standard deviation of its kind's; (N,), 0 where lengths are equal."""
    differences = np.array([float(first - second) for first, second in lengths])
    names = np.array(kinds if kinds else [""] * len(differences))
    terms = np.zeros(len(differences))
    for kind in set(names):
        own = names == kind
        spread = float(np.std(differences[own])) or float(np.max(np.abs(differences[own]))) or 1.0
        terms[own] = np.tanh(differences[own] / spread)
    return terms


def bradley_terry(
    pairs: Sequence[PairRecord], prompts: Sequence[str], models: Sequence[tuple[str, str]], *, bootstrap: Bootstrap
) -> dict[str, Score]:
    """Each model's score from all verdicts at once (Bradley and Terry 1952), on the Elo scale with mean 1,000.

    models: the names of both models of each pair; 400 points are odds of ten to one. A model that won everything, or
    nothing, is kept finite by the prior alone and has NaN for an interval; one without a verdict has NaN throughout.
    """
    found = dict.fromkeys((name for both in models for name in both), NOTHING)
    judged = [both for pair, both in zip(pairs, models, strict=True) if pair.winner is not None]
    names = list(dict.fromkeys(name for both in judged for name in both))
    sums, groups = _tallies(pairs, prompts, models, names)
    for place, name in enumerate(names):

        def score_of(drawn: Floats, place: int = place) -> Floats:
            scores: Floats = elo_scores((drawn @ sums).reshape(-1, len(names), len(names)))[:, place]
            return scores

        measure = Measure(rows=len(groups), statistic=score_of)
        score = with_interval(measure, bootstrap, groups=groups)
        swept = _swept(sums.sum(axis=0).reshape(len(names), len(names)), place)
        found[name] = replace(score, low=math.nan, high=math.nan) if swept else score
    return found


def elo_scores(wins: Floats) -> Floats:
    """The scores of M models by how often each beat each; wins: (R, M, M), row over column. Returns (R, M).

    The maximum of the likelihood with the prior, by the iteration of Newman (2023, JMLR 24, eq. 10), which has the
    fixed point of Hunter's (2004) and comes to it sooner.
    """
    models = wins.shape[-1]
    wins = wins + PRIOR * (1 - np.eye(models))
    strength = np.ones(wins.shape[:-1])  # (R, M)
    for _ in range(_STEPS):
        before = strength.copy()
        for own in range(models):  # one after the other: all at once, two models would swap places for ever
            both = strength[:, own, None] + strength  # (R, M)
            gained = (wins[:, own, :] * strength / both).sum(axis=1)
            strength[:, own] = gained / (wins[:, :, own] / both).sum(axis=1)
        strength /= np.exp(np.log(strength).mean(axis=1, keepdims=True))
        if np.max(np.abs(np.log(strength / before)), initial=0.0) < _ENOUGH:
            break
    return ELO_MEAN + ELO_POINTS * np.log(strength)


def bounded_mean(
    values: Sequence[float] | Floats, prompts: Sequence[str], *, bootstrap: Bootstrap, lowest: float, highest: float
) -> Score:
    """The mean of values that lie between two ends, with an interval by prompt; NaN without values."""
    score = with_interval(mean(values), bootstrap, groups=prompts)
    return _with_unseen(score, values, prompts, bootstrap=bootstrap, lowest=lowest, highest=highest)


def _with_unseen(
    score: Score,
    values: Sequence[float] | Floats,
    prompts: Sequence[str],
    *,
    bootstrap: Bootstrap,
    lowest: float,
    highest: float,
) -> Score:
    """Widens an interval where all values are equal, in which every resample is the same and the bootstrap is blind.

    Of n equal draws, a share of up to 1 - (alpha/2)^(1/n) may lie elsewhere (Clopper and Pearson 1934); it is put
    at either end.
    """
    if len(values) == 0 or np.ptp(np.asarray(values)) > 0:
        return score
    unseen = 1 - ((1 - bootstrap.confidence) / 2) ** (1 / len(set(prompts)))
    low = score.value + unseen * (lowest - score.value)
    high = score.value + unseen * (highest - score.value)
    return replace(score, low=min(low, score.low), high=max(high, score.high))


def _decided(pairs: Sequence[PairRecord], prompts: Sequence[str]) -> tuple[Floats, list[str], list[int]]:
    """What the first won of each verdict there is, its prompt, and its place among the pairs."""
    if len(pairs) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts for {len(pairs)} pairs")
    places = [at for at, pair in enumerate(pairs) if pair.winner is not None]
    wins = np.array([WON[winner] for at in places if (winner := pairs[at].winner) is not None], dtype=np.float64)
    return wins, [prompts[at] for at in places], places


def _with_curvature(score: Score, wins: Floats, terms: Floats, bootstrap: Bootstrap) -> Score:
    """Widens an interval to what the curvature of the likelihood allows (Laplace's approximation).

    Where length explains every verdict, every resample gives nearly the same penalised fit, and the bootstrap is sure
    of what nobody saw.
    """
    level, bend = _fitted(np.ones((1, len(wins))), wins, terms)
    error = math.sqrt(np.linalg.inv(bend[0])[0, 0]) * NormalDist().inv_cdf(0.5 + bootstrap.confidence / 2)
    low, high = (float(_sigmoid(level[0] + side * error)) for side in (-1, 1))
    return replace(score, low=min(low, score.low), high=max(high, score.high))


def _fitted(drawn: Floats, wins: Floats, terms: Floats) -> tuple[Floats, Floats]:
    """The log odds of winning at length difference 0 of each resample, (R,), and the curvature there, (R, 2, 2).

    drawn: (R, N), wins, terms: (N,). Newton's method on all resamples at once; the prior is half a win and half a
    loss at difference 0.
    """
    level, slope = np.zeros(len(drawn)), np.zeros(len(drawn))  # (R,)
    bend = np.empty((len(drawn), 2, 2))
    for _ in range(_STEPS):
        likely = _sigmoid(level[:, None] + slope[:, None] * terms)  # (R, N)
        apart, weight = drawn * (wins - likely), drawn * likely * (1 - likely)
        even = _sigmoid(level)
        pull = np.stack([apart.sum(axis=1) + PRIOR - 2 * PRIOR * even, apart @ terms - LENGTH_RIDGE * slope], axis=1)
        bend[:, 0, 0] = weight.sum(axis=1) + 2 * PRIOR * even * (1 - even)
        bend[:, 0, 1] = bend[:, 1, 0] = weight @ terms
        bend[:, 1, 1] = weight @ terms**2 + LENGTH_RIDGE
        step = np.clip(np.linalg.solve(bend, pull[:, :, None])[:, :, 0], -1, 1)  # a whole step may overshoot
        level, slope = level + step[:, 0], slope + step[:, 1]
        if np.max(np.abs(step), initial=0.0) < _ENOUGH:
            break
    return level, bend


def _sigmoid(x: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(0.5 * x))  # exp overflows where this does not
    return result


def _tallies(
    pairs: Sequence[PairRecord], prompts: Sequence[str], models: Sequence[tuple[str, str]], names: Sequence[str]
) -> tuple[Floats, list[str]]:
    """What each prompt adds to the table of who beat whom, (P, M * M), and the prompts."""
    groups = list(dict.fromkeys(prompts))
    rows, places = {name: at for at, name in enumerate(groups)}, {name: at for at, name in enumerate(names)}
    table = np.zeros((len(groups), len(names), len(names)))
    for pair, prompt, (first, second) in zip(pairs, prompts, models, strict=True):
        if pair.winner is not None:
            table[rows[prompt], places[first], places[second]] += WON[pair.winner]
            table[rows[prompt], places[second], places[first]] += 1 - WON[pair.winner]
    return table.reshape(len(groups), len(names) ** 2), groups


def _swept(wins: Floats, place: int) -> bool:
    return not wins[place].any() or not wins[:, place].any()
