"""What every judge is: something with an id that scores, compares and ranks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from tasks.judging.records import Item, Pair, PairRecord, RankRecord, ScoreRecord, short_hash
from tasks.judging.rubric import Rubric
from tasks.stage import UserError

MOST_RANKED = 4  # answers in one ranking


@dataclass(frozen=True, kw_only=True)
class JudgeId:
    """What a verdict rests on; another prompt or other weights are another judge."""

    name: str  # heuristic-a, heuristic-b, or what the user calls an endpoint's judge
    revision: str  # of the model behind it, or of the rules
    prompt_hash: str = ""
    weights_hash: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{short_hash(asdict(self))[:8]}"


class Judge(Protocol):
    """Grades answers by a rubric. Each call gives one record for each thing asked, in their order.

    A failure is a record with a status, not an exception; UserError is for what ends the run (a server that
    is down, a budget that is used up), and then nothing judged so far is lost.
    """

    @property
    def id(self) -> JudgeId: ...

    @property
    def source(self) -> Literal["LLM_JUDGE", "CODE"]:
        """What MLflow calls the origin of its feedback."""
        ...

    def score(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]: ...

    def compare(self, pairs: Sequence[Pair], rubric: Rubric) -> list[PairRecord]:
        """Each pair in both orders."""
        ...

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
        """Lists of two to four answers to one prompt."""
        ...


def check_lists(lists: Sequence[Sequence[Item]]) -> None:
    """Raises UserError where a list is too short or too long for a ranking."""
    for items in lists:
        if not 2 <= len(items) <= MOST_RANKED:
            raise UserError(f"a ranking of {len(items)} answers; allowed: 2 to {MOST_RANKED}")
