"""How often the gate promotes a model that is no better: simulated contests of equal models, decided for real.

Only what the gate decides by chance is simulated: the verdicts. Answers have lengths that go together by prompt, the
judge likes the longer one a little, some verdicts are ties; no figure differs. One contest only, against whoever is
to be replaced: a second one, against base, can only make a promotion rarer.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from benchmarks.row import Row
from tasks.evaluation.intervals import Bootstrap
from tasks.gating.contest import Contest, verdicts_between
from tasks.gating.decision import Decision, Evidence, decide
from tasks.gating.hacking import Hacking
from tasks.gating.params import GateParams
from tasks.gating.votes import votes_between
from tasks.judging.records import Item, PairRecord, Winner
from tasks.stage import load_params

ROUNDS = 2_000
PROMPTS = 112  # as many as the default chain judges
TIES, LENGTH_TASTE = 0.1, 0.5  # the share of ties; log odds that a difference of one standard deviation adds
MOST = 4.0  # per cent
JUDGE = "simulated@00000000"


def gate_false_promotion() -> Row:
    """The share of equal models that are promoted, in per cent; printed with its interval."""
    promoted = sum(one.outcome == "promote" for one in simulated(load_params(GateParams, "gate"), rounds=ROUNDS))
    low, high = wilson(promoted, ROUNDS)
    print(f"equal models promoted: {promoted} of {ROUNDS}, {promoted / ROUNDS:.2%} [{low:.2%}, {high:.2%}]")
    return Row(
        name="gate_false_promotion",
        unit="%",
        value=max(100 * promoted, 1) / ROUNDS,
        peer="at most",
        peer_value=MOST,
        bar=1.0,
        lower_is_better=True,
    )


def simulated(
    params: GateParams, *, rounds: int, prompts: int = PROMPTS, rate: float = 0.5, ties: float = TIES,
    taste: float = LENGTH_TASTE, seed: int = 1,
) -> Iterator[Decision]:  # fmt: skip
    """A decision a round. rate: at which the candidate wins decisive pairs of equal lengths."""
    rng = np.random.default_rng(seed)
    for number in range(rounds):
        bootstrap = Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed + number)
        yield decide(_evidence(*_round(rng, prompts, rate=rate, ties=ties, taste=taste), bootstrap), params)


def _round(
    rng: np.random.Generator, prompts: int, *, rate: float, ties: float, taste: float
) -> tuple[list[Item], list[Item], list[PairRecord]]:
    """Both models' answers, and the verdicts on them."""
    typical = rng.normal(5.0, 0.6, size=prompts)  # log of characters that a prompt asks for
    ours, theirs = (np.exp(typical + rng.normal(0, 0.3, size=prompts)).astype(int) + 1 for _ in range(2))
    apart = (ours - theirs) / np.std(ours - theirs)
    wins = 1 / (1 + np.exp(-(math.log(rate / (1 - rate)) + taste * np.tanh(apart))))
    drawn, tied = rng.random(prompts), rng.random(prompts) < ties
    outcomes: list[Winner] = [
        "tie" if t else "first" if u < w else "second" for u, t, w in zip(drawn, tied, wins, strict=True)
    ]
    answers = [_items("candidate", "c", ours), _items("champion", "o", theirs)]
    pairs = [_record(*each) for each in zip(*answers, outcomes, strict=True)]
    return answers[0], answers[1], pairs


def _items(by: str, letter: str, lengths: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[Item]:
    return [
        Item(prompt_id=str(number), kind="story", prompt=str(number), answer=letter * length, by=by)
        for number, length in enumerate(lengths.tolist())
    ]


def _record(first: Item, second: Item, winner: Winner) -> PairRecord:
    return PairRecord(
        judge=JUDGE, first=first.id, second=second.id, status="ok", winner=winner, margin=0.0, orders=(winner, winner)
    )


def _evidence(ours: list[Item], theirs: list[Item], pairs: list[PairRecord], bootstrap: Bootstrap) -> Evidence:
    contest = Contest(
        opponent="fledgling/1",
        verdicts=verdicts_between(ours, theirs, pairs, bootstrap=bootstrap),
        differences=(),
        votes=votes_between((), ours, theirs, bootstrap=bootstrap),
        unsafe=(0, 0),
    )
    return Evidence(
        candidate="candidate", judge=JUDGE, labellers=(), against=(contest,), unfit_axes=(), is_examined=True,
        is_champion=False, hacking=Hacking(),
    )  # fmt: skip


def wilson(count: int, of: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of a share's interval (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, scale = count / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half
