"""Preferences out of a judge's pairwise verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tasks.judging.records import Item, PairRecord
from tasks.pairing.preference import Found, Preference
from tasks.stage import UserError


def judged(items: Sequence[Item], records: Sequence[PairRecord], *, least_margin: float) -> Found:
    """The verdicts that hold in both orders and by a margin. Raises UserError where an answer is unknown."""
    by_id = {item.id: item for item in items}
    preferences: list[Preference] = []
    rejected: Counter[str] = Counter()
    for record in records:
        reason = _reason(record, least_margin)
        if reason:
            rejected[reason] += 1
        else:
            preferences.append(_preference(record, by_id))
    return Found(preferences=preferences, rejected=rejected)


def _reason(record: PairRecord, least_margin: float) -> str:
    """Why a verdict is no preference; empty where it is one."""
    if record.status != "ok":
        return "no_verdict"
    if record.is_flipped:
        return "flipped"
    if record.winner == "tie":
        return "tie"
    return "small_margin" if abs(record.margin or 0.0) < least_margin else ""


def _preference(record: PairRecord, by_id: Mapping[str, Item]) -> Preference:
    try:
        first, second = by_id[record.first], by_id[record.second]
    except KeyError as error:
        raise UserError(f"a verdict on an answer that was not sampled: {error}; run `dvc repro label`") from None
    chosen, other = (first, second) if record.winner == "first" else (second, first)
    return Preference(
        prompt_id=chosen.prompt_id,
        kind=chosen.kind,
        prompt=chosen.prompt,
        chosen=chosen.answer,
        rejected=other.answer,
        source="judge",
        margin=abs(record.margin or 0.0),
        cut=frozenset(item.answer for item in (chosen, other) if item.decoding.get("cut")),
        origin={"judge": record.judge, "chosen": chosen.id, "rejected": other.id},
    )
