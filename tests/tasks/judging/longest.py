"""A judge for tests of what is around judges: it likes long answers, whatever the order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tasks.judging.judge import JudgeId
from tasks.judging.records import Grade, Item, Pair, PairRecord, RankRecord, ScoreRecord, Winner
from tasks.judging.rubric import Rubric


class LongestJudge:
    """An empty answer is refused, so that there is a failure to be counted."""

    id = JudgeId(name="longest", revision="1")
    source: Literal["CODE"] = "CODE"

    def score(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]:
        return [self._score(item, rubric) for item in items]

    def _score(self, item: Item, rubric: Rubric) -> ScoreRecord:
        if not item.answer:
            return ScoreRecord(judge=str(self.id), item=item.id, status="refused", reason="nothing to read")
        grade = Grade(score=min(5.0, 1 + len(item.answer) / 20), reason="its length", is_proxy=True)
        return ScoreRecord(
            judge=str(self.id), item=item.id, status="ok", grades=dict.fromkeys(rubric.axes(item.part), grade)
        )

    def compare(self, pairs: Sequence[Pair], rubric: Rubric) -> list[PairRecord]:
        return [self._compare(pair) for pair in pairs]

    def _compare(self, pair: Pair) -> PairRecord:
        told = {"judge": str(self.id), "first": pair.first.id, "second": pair.second.id}
        if not pair.first.answer or not pair.second.answer:
            return PairRecord(**told, status="refused", reason="nothing to read")
        ahead = len(pair.first.answer) - len(pair.second.answer)
        winner: Winner = "first" if ahead > 0 else "second" if ahead < 0 else "tie"
        return PairRecord(**told, status="ok", winner=winner, margin=float(ahead), orders=(winner, winner))

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
        return [self._rank(items) for items in lists]

    def _rank(self, items: Sequence[Item]) -> RankRecord:
        lengths = sorted({len(item.answer) for item in items}, reverse=True)
        tiers = tuple(tuple(item.id for item in items if len(item.answer) == length) for length in lengths)
        return RankRecord(judge=str(self.id), items=tuple(item.id for item in items), status="ok", tiers=tiers)


@contextmanager
def opened(name: str, *, judges: Path, verdicts: Path) -> Iterator[LongestJudge]:
    """In place of `configured_judge`."""
    yield LongestJudge()
