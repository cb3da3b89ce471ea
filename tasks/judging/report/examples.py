"""Which answers a reader is shown: the best and the worst of the newest model, and those that the order decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.judging.comparing.matches import Match, find_matches
from tasks.judging.records import Item, PairRecord, ScoreRecord

MOST_CHARACTERS = 4_000  # of an answer or a prompt; the rest is counted


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer as it is shown, with its grades."""

    item: Item
    record: ScoreRecord | None

    @property
    def overall(self) -> float | None:
        return self.record.overall if self.record else None


@dataclass(frozen=True, kw_only=True)
class Example:
    """Answers to one prompt, the newest model's first; match: None where only one model answered."""

    answers: tuple[Told, ...]
    match: Match | None

    @property
    def prompt(self) -> Item:
        return self.answers[0].item

    @property
    def merit(self) -> tuple[float, float]:
        """How well the newest model did: the verdict with its margin, then its own grades."""
        record = self.match.record if self.match else None
        overall = self.answers[0].overall or 0.0
        if record is None or record.winner is None:
            return 0.0, overall
        sign = {"first": 1.0, "tie": 0.0, "second": -1.0}[record.winner]
        return sign * (1 + abs(record.margin or 0.0)), overall

    @property
    def decision(self) -> str:
        """Who won and how it was decided, in words."""
        return _decision(self.match) if self.match else ""

    @property
    def axes(self) -> dict[str, str]:
        """Who won on each axis that the judge was asked about."""
        if self.match is None or self.match.record is None:
            return {}
        names = dict(zip(("first", "second"), self.match.models, strict=True))
        return {axis: names.get(winner, "a tie") for axis, winner in self.match.record.axes.items()}


def find_examples(
    answers: Sequence[Item], scores: Sequence[ScoreRecord], pairs: Sequence[PairRecord], models: Sequence[str]
) -> list[Example]:
    """All prompts that the newest model answered, the best done first. Answers without any verdict are left out."""
    graded = {record.item: record for record in scores}
    newest = models[-1] if models else ""
    matches = [match for match in find_matches(answers, pairs, models) if match.first.by == newest]
    found = [_compared(match, graded) for match in matches if match.decided in ("judge", "same text")]
    if not matches:
        own = [item for item in answers if item.by == newest and item.id in graded]
        found = [Example(answers=(Told(item=item, record=graded[item.id]),), match=None) for item in own]
        found = [example for example in found if example.answers[0].overall is not None]
    return sorted(found, key=lambda example: (-example.merit[0], -example.merit[1], example.prompt.prompt_id))


def best_and_worst(examples: Sequence[Example], *, most: int) -> tuple[list[Example], list[Example]]:
    """The ends of the list, neither with an example of the other; the worst first."""
    few = min(most, (len(examples) + 1) // 2)
    worst = list(reversed(examples[max(few, len(examples) - most) :]))
    return list(examples[:few]), worst


def flipped(examples: Sequence[Example]) -> list[Example]:
    """Those in which the order of showing decided."""
    return [
        example for example in examples if example.match and example.match.record and example.match.record.is_flipped
    ]


def cut(text: str) -> tuple[str, int]:
    """A text as far as it is shown, and how many characters are left out."""
    return text[:MOST_CHARACTERS], max(0, len(text) - MOST_CHARACTERS)


def _compared(match: Match, graded: Mapping[str, ScoreRecord]) -> Example:
    told = tuple(Told(item=item, record=graded.get(item.id)) for item in (match.first, match.second))
    return Example(answers=told, match=match)


def _decision(match: Match) -> str:
    record = match.record
    if match.decided == "same text":
        return "A tie: both gave the same text, which no judge was asked about."
    if record is None or record.winner is None:
        return "Not decided."
    if record.is_flipped:
        return "A tie: in each order another one won, so that the order of showing decided."
    said = "A tie" if record.winner == "tie" else f"{match.models[0 if record.winner == 'first' else 1]} won"
    sure = "" if record.margin is None or record.winner == "tie" else f" by a margin of {abs(record.margin):.2f} (of 1)"
    asked = {0: "", 1: ", asked in one order only"}.get(len(record.orders), ", with the same outcome in both orders")
    return f"{said}{sure}{asked}."
