"""What a judge is given and what it says. A failure has a status and never a number."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tasks.judging.rubric import Part

Status = Literal["ok", "parse_error", "refused", "unsupported", "injection_flag"]
STATUSES: tuple[Status, ...] = ("ok", "parse_error", "refused", "unsupported", "injection_flag")
STORY = "story"  # the kind of a request for a story; everything else goes by the kind of its task
Winner = Literal["first", "second", "tie"]
SWAPPED: Mapping[Winner, Winner] = {
    "first": "second",
    "second": "first",
    "tie": "tie",
}  # the same, told in the other order


@dataclass(frozen=True, kw_only=True)
class Item:
    """An answer with all that it is judged by. by: the model that gave it, which no judge is shown.

    kind: story (a request with constraints that code can check), else the kind of the task. decoding: how the
    answer was drawn, part of the record.
    """

    prompt_id: str
    kind: str
    prompt: str
    answer: str
    by: str
    references: tuple[str, ...] = ()
    document: str = ""
    constraints: Mapping[str, Any] = field(default_factory=dict)
    decoding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> Part:
        """The part of the rubric that it is judged by."""
        return "story" if self.kind == STORY else "task"

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of what a judge can see of it: equal texts are judged once."""
        seen = [self.kind, self.prompt, self.answer, list(self.references), self.document, dict(self.constraints)]
        return short_hash(seen)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers to one prompt. Raises ValueError where the prompts differ."""

    first: Item
    second: Item

    def __post_init__(self) -> None:
        if self.first.prompt_id != self.second.prompt_id:
            raise ValueError(f"a pair of two prompts: {self.first.prompt_id} and {self.second.prompt_id}")

    @property
    def swapped(self) -> "Pair":
        return Pair(first=self.second, second=self.first)


@dataclass(frozen=True, kw_only=True)
class Grade:
    """An axis of an answer. score: 1 to 5, not always whole; parts: the measures it comes from, by name."""

    score: float
    reason: str
    is_proxy: bool = False  # measured by something near to the axis, not by the axis itself
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.score <= 5:
            raise ValueError(f"a score of {self.score}; a rubric's levels are 1 to 5")


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """A judge's grades of an answer by axis; none of them unless the status is ok."""

    judge: str
    item: str
    status: Status
    grades: Mapping[str, Grade] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        _failures_have_no(self.grades, self.status)

    @property
    def overall(self) -> float | None:
        """The mean of the axes; None where there is no verdict."""
        return sum(grade.score for grade in self.grades.values()) / len(self.grades) if self.grades else None


@dataclass(frozen=True, kw_only=True)
class PairRecord:
    """Which of two answers a judge prefers; no winner unless the status is ok.

    orders: the winner in each order it was asked in, told as of this order (so that two equal ones agree); a
    disagreement is a tie, and counts as flipped. margin: how sure, 0 to 1; negative where the second won.
    axes: the winner on each axis.
    """

    judge: str
    first: str
    second: str
    status: Status
    winner: Winner | None = None
    margin: float | None = None
    orders: tuple[Winner, ...] = ()
    axes: Mapping[str, Winner] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        _failures_have_no(self.winner, self.status)

    @property
    def is_flipped(self) -> bool:
        """The order in which the two were shown decided."""
        return len(set(self.orders)) > 1


@dataclass(frozen=True, kw_only=True)
class RankRecord:
    """A partial order over up to four answers: tiers from best to worst, equals in one tier."""

    judge: str
    items: tuple[str, ...]
    status: Status
    tiers: tuple[tuple[str, ...], ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        _failures_have_no(self.tiers, self.status)
        if self.status == "ok" and sorted(item for tier in self.tiers for item in tier) != sorted(self.items):
            raise ValueError("the tiers of a ranking hold each of its answers once")


def coverage(records: Sequence[ScoreRecord | PairRecord | RankRecord]) -> float:
    """The share that has a verdict, 0 where nothing was judged."""
    return sum(record.status == "ok" for record in records) / len(records) if records else 0.0


def short_hash(value: object) -> str:
    """First 16 hex digits of the SHA-256 of a value's JSON."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]


def _failures_have_no(verdict: object, status: Status) -> None:
    if bool(verdict) != (status == "ok"):
        raise ValueError(f"status '{status}' with the verdict {verdict!r}; only 'ok' has one, and always")
