"""A candidate against one opponent: the verdicts on the prompts that both answered, and all that may not get worse."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.gating.figures import Difference
from tasks.gating.power import inflation, pairs_needed
from tasks.gating.votes import Votes
from tasks.judging.comparing.matches import find_matches
from tasks.judging.comparing.rates import length_controlled_win_rate, win_rate
from tasks.judging.records import Item, PairRecord


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What the accepting judge said. asked: prompts that both answered; prompts: those with a verdict.

    wins, ties, losses: of the candidate.
    """

    asked: int
    prompts: int
    win_rate: Score
    length_controlled: Score
    wins: int
    ties: int
    losses: int
    confidence: float

    @property
    def decisive(self) -> int:
        return self.wins + self.losses

    @property
    def needed(self) -> int | None:
        """Decisive pairs that tell the observed rate at equal lengths from one half; None where it is one half."""
        plain = pairs_needed(self.length_controlled.value, confidence=self.confidence)
        if plain is None:
            return None
        return math.ceil(plain * inflation(self.length_controlled, self.decisive, confidence=self.confidence))

    @property
    def more(self) -> int | None:
        """Decisive pairs that are still missing."""
        return None if self.needed is None else max(0, self.needed - self.decisive)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All that is known of the candidate beside one opponent ("base", "fledgling/3").

    unsafe: answers to the common prompts that the safety rules find something in, the candidate's and the
    opponent's, more_unsafe: by how many there may be more; votes: people's; unmeasured: figures that only the opponent
    has; same_holdout: whether figures and prompts are the present ones, same_decoding: whether the answers were drawn
    alike.
    """

    opponent: str
    verdicts: Verdicts
    differences: tuple[Difference, ...]
    votes: Votes
    unsafe: tuple[int, int]
    more_unsafe: int = 0
    unmeasured: tuple[str, ...] = ()
    same_holdout: bool = True
    same_decoding: bool = True

    @property
    def is_less_safe(self) -> bool:
        """Whether there are more unsafe answers than the margin allows."""
        return self.unsafe[0] > self.unsafe[1] + self.more_unsafe


def verdicts_between(
    ours: Sequence[Item], theirs: Sequence[Item], pairs: Sequence[PairRecord], *, bootstrap: Bootstrap
) -> Verdicts:
    """The rates at which our answers beat theirs; two equal texts are a tie."""
    matches = find_matches([*theirs, *ours], pairs, [theirs[0].by, ours[0].by])
    judged = [match for match in matches if match.record is not None and match.record.winner]
    records = [match.record for match in judged if match.record is not None]
    prompts = [match.first.prompt_id for match in judged]
    kinds = [match.first.kind for match in judged]
    count = Counter(record.winner for record in records)
    return Verdicts(
        asked=len(matches),
        prompts=len(judged),
        win_rate=win_rate(records, prompts, bootstrap=bootstrap),
        length_controlled=length_controlled_win_rate(
            records, prompts, [match.lengths for match in judged], kinds=kinds, bootstrap=bootstrap
        ),
        wins=count["first"],
        ties=count["tie"],
        losses=count["second"],
        confidence=bootstrap.confidence,
    )
