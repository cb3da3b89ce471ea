"""Why one answer stands before another, in words."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tasks.judging.records import PairRecord, ScoreRecord, Winner

VETO = "age_appropriateness"
TIE = "Equal within the margin."


def is_unsafe(record: ScoreRecord) -> bool:
    """Whether the rules of safety, not the words' or the theme's difficulty, gave the lowest level."""
    grade = record.grades.get(VETO)
    return grade is not None and grade.parts.get("safety") == 0.0


def why_pair(first: ScoreRecord, second: ScoreRecord, axes: Mapping[str, Winner], winner: Winner) -> str:
    """Of a pair's verdict. axes: the winner on each axis."""
    if winner == "tie":
        return TIE
    if is_unsafe(first) != is_unsafe(second):
        return f"The other is unsafe: {(second if winner == 'first' else first).grades[VETO].reason}"
    return f"The {winner} is better {_where(axes, winner)}."


def why_ranking(tiers: Sequence[Sequence[int]], records: Sequence[ScoreRecord], steps: Sequence[PairRecord]) -> str:
    """Of a ranking: which answers are level, and what each tier's best has before that of the next.

    tiers: places in the list, the best tier first; steps: the verdict on the best of each tier beside that of the next.
    An answer is told by its number in the list, the first being 1.
    """
    level = [f"{_numbers(tier)} are equal within the margin." for tier in tiers if len(tier) > 1]
    before = [
        _why_before(better[0], worse[0], records, step)
        for (better, worse), step in zip(pairwise(tiers), steps, strict=True)
    ]
    return " ".join([*before, *level])


def _why_before(better: int, worse: int, records: Sequence[ScoreRecord], step: PairRecord) -> str:
    told = f"Answer {better + 1} stands before answer {worse + 1}"
    if is_unsafe(records[worse]) and not is_unsafe(records[better]):
        return f"{told}, which is unsafe: {records[worse].grades[VETO].reason}"
    return f"{told}: better {_where(step.axes, 'first')}."


def _where(axes: Mapping[str, Winner], winner: Winner) -> str:
    won = [name for name, best in axes.items() if best == winner]
    return f"on {', '.join(won)}" if won else "by a little of each"


def _numbers(tier: Sequence[int]) -> str:
    numbers = [str(at + 1) for at in sorted(tier)]
    return f"Answers {', '.join(numbers[:-1])} and {numbers[-1]}"
