"""Which verdict belongs to which two models' answers, in the order in which the models are told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tasks.judging.records import SWAPPED, Item, PairRecord

Decided = Literal["judge", "same text", "failed", "not judged"]


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two models' answers to one prompt; record: the verdict told as of this order, None where nobody judged."""

    first: Item
    second: Item
    record: PairRecord | None

    @property
    def models(self) -> tuple[str, str]:
        return self.first.by, self.second.by

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of both answers."""
        return len(self.first.answer), len(self.second.answer)

    @property
    def decided(self) -> Decided:
        """How it was decided; two equal texts are a tie that no judge is needed for."""
        if self.first.id == self.second.id:
            return "same text"
        if self.record is None:
            return "not judged"
        return "judge" if self.record.status == "ok" else "failed"


def find_matches(answers: Sequence[Item], pairs: Sequence[PairRecord], models: Sequence[str]) -> list[Match]:
    """Every prompt that two models answered, a later model of the list before an earlier one.

    Raises ValueError where a model answered a prompt twice.
    """
    verdicts = _by_texts(pairs)
    answered = {name: _by_prompt(answers, name) for name in models}
    found: list[Match] = []
    for place, second in enumerate(models):
        for first in models[place + 1 :]:
            common = [prompt for prompt in answered[second] if prompt in answered[first]]
            found += [_match(answered[first][prompt], answered[second][prompt], verdicts) for prompt in common]
    return found


def swapped(record: PairRecord) -> PairRecord:
    """The same verdict told in the other order."""
    return replace(
        record,
        first=record.second,
        second=record.first,
        winner=SWAPPED[record.winner] if record.winner else None,
        margin=None if record.margin is None else -record.margin,
        orders=tuple(SWAPPED[winner] for winner in record.orders),
        axes={axis: SWAPPED[winner] for axis, winner in record.axes.items()},
    )


def _match(first: Item, second: Item, verdicts: Mapping[tuple[str, str], PairRecord]) -> Match:
    record = verdicts.get((first.id, second.id))
    if first.id == second.id:
        judge = record.judge if record else ""
        record = PairRecord(judge=judge, first=first.id, second=second.id, status="ok", winner="tie", margin=0.0)
    return Match(first=first, second=second, record=record)


def _by_texts(pairs: Iterable[PairRecord]) -> dict[tuple[str, str], PairRecord]:
    """Verdicts by the ids of both texts, in both orders; one asked for in this order goes before one turned round,
    and of two for the same texts the one that did not fail."""
    pairs = sorted(pairs, key=lambda pair: pair.status == "ok")
    turned = {(pair.second, pair.first): swapped(pair) for pair in pairs}
    return turned | {(pair.first, pair.second): pair for pair in pairs}


def _by_prompt(answers: Iterable[Item], model: str) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for item in answers:
        if item.by != model:
            continue
        if item.prompt_id in found:
            raise ValueError(f"{model} answered {item.prompt_id} twice; a comparison takes one answer of each model")
        found[item.prompt_id] = item
    return found
