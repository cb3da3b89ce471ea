"""How far a reviewer may be believed: gold items, items shown again, the sides chosen, the time taken."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.reviews.chains import live
from tasks.reviews.decisions import BOTH_BAD, TIE
from tasks.reviews.kinds import Values
from tasks.reviews.params import QualityParams
from tasks.reviews.tables import Annotation, Generation, Shown

NEAR = 1  # levels that a rating may be off a gold item's


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many of so many, with the exact binomial interval (Clopper and Pearson 1934); None of nothing."""

    part: int
    of: int
    low: float | None
    high: float | None

    @classmethod
    def counted(cls, told: Iterable[bool], *, confidence: float) -> "Share":
        """Of all that is told, how much is true."""
        every = list(told)
        if not every:
            return cls(part=0, of=0, low=None, high=None)
        from scipy.stats import binomtest

        ends = binomtest(sum(every), len(every)).proportion_ci(confidence_level=confidence)
        return cls(part=sum(every), of=len(every), low=float(ends.low), high=float(ends.high))

    @property
    def value(self) -> float | None:
        return self.part / self.of if self.of else None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A reviewer's answers in force. left: of the choices that took a side, those of the side shown left.

    gold: gold items decided rightly; again: items decided the same when they were shown again, the sides swapped;
    fast: answers given sooner than anybody reads. failures: what is beyond the parameters, in words.
    """

    answers: int
    median_ms: float | None
    gold: Share
    again: Share
    left: Share
    fast: Share
    failures: tuple[str, ...]


def failing(session: Session, params: QualityParams, now: datetime) -> dict[int, str]:
    """Reviewers (their ids) whose answers are left out at export, each with the reason, by what they said until now."""
    found = qualities(session, params, now=now)
    return {reviewer: "; ".join(own.failures) for reviewer, own in found.items() if own.failures}


def qualities(session: Session, params: QualityParams, *, now: datetime) -> dict[int, Quality]:
    """Of every reviewer (their ids) with an answer in force."""
    by_reviewer: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in live(session):
        if annotation.at <= now:
            by_reviewer[annotation.reviewer_id].append(annotation)
    words = _words(session)
    return {reviewer: _quality(own, words, params) for reviewer, own in by_reviewer.items()}


def _words(session: Session) -> Mapping[str, int]:
    """Words of the answers of every item that was decided. The prompt's are left out: it may be known by then."""
    decided = select(Annotation.item_id).where(Annotation.action == "answer")
    query = select(Shown.item_id, Generation.text).join(Shown.generation).where(Shown.item_id.in_(decided))
    words: dict[str, int] = defaultdict(int)
    for item, text in session.execute(query):
        words[item] += len(text.split())
    return words


def _quality(own: Sequence[Annotation], words: Mapping[str, int], params: QualityParams) -> Quality:
    def share(told: Iterable[bool]) -> Share:
        return Share.counted(told, confidence=params.confidence)

    gold, again = share(_gold(own)), share(_again(own))
    left, fast = share(_left(own)), share(_fast(own, words, params.words_per_minute))
    return Quality(
        answers=len(own),
        median_ms=float(median(annotation.milliseconds for annotation in own)),
        gold=gold,
        again=again,
        left=left,
        fast=fast,
        failures=tuple(_failures(params, gold=gold, again=again, left=left, fast=fast)),
    )


def _gold(own: Sequence[Annotation]) -> Iterable[bool]:
    return [
        _is_right(annotation.decision, annotation.item.gold) for annotation in own if annotation.item.gold is not None
    ]


def _is_right(decision: Values, gold: Values) -> bool:
    """The gold winner won (of a ranking: stands alone at the top), or every gold score is at most a level off."""
    if "winner" in gold:
        top = decision["tiers"][0] if "tiers" in decision else [decision.get("winner")]
        return bool(top == [gold["winner"]])
    said = decision.get("scores", {})
    return all(axis in said and abs(said[axis] - level) <= NEAR for axis, level in gold.get("scores", {}).items())


def _again(own: Sequence[Annotation]) -> Iterable[bool]:
    first = {annotation.item_id: annotation.decision for annotation in own if not annotation.assignment.is_again}
    return [
        _merged(annotation.decision) == _merged(first[annotation.item_id])
        for annotation in own
        if annotation.assignment.is_again and annotation.item_id in first
    ]


def _merged(decision: Values) -> Values:
    """A decision as it counts for consistency: two answers that are alike, both good or both bad, are alike."""
    return {"winner": TIE} if decision.get("winner") in (TIE, BOTH_BAD) else decision


def _left(own: Sequence[Annotation]) -> Iterable[bool]:
    choices = [annotation for annotation in own if annotation.item.kind == "choice"]
    return [
        choice.decision["winner"] == choice.sides[0] for choice in choices if choice.decision["winner"] in choice.sides
    ]


def _fast(own: Sequence[Annotation], words: Mapping[str, int], words_per_minute: int) -> Iterable[bool]:
    """What is shown again is left out: it was read before."""
    return [
        annotation.milliseconds < 60_000 * words.get(annotation.item_id, 0) / words_per_minute
        for annotation in own
        if not annotation.assignment.is_again
    ]


def _failures(params: QualityParams, *, gold: Share, again: Share, left: Share, fast: Share) -> Iterable[str]:
    if gold.of >= params.min_gold and gold.part < params.min_gold_agreement * gold.of:
        yield f"right on {gold.part} of {gold.of} gold items, at least {params.min_gold_agreement:.0%} are asked for"
    if again.of >= params.min_again and again.part < params.min_self_consistency * again.of:
        yield f"the same on {again.part} of {again.of} items shown again, at least {params.min_self_consistency:.0%}"
    one_side = max(left.part, left.of - left.part)
    if left.of >= params.min_choices and one_side > params.max_one_side_share * left.of:
        yield f"chose one side in {one_side} of {left.of}, at most {params.max_one_side_share:.0%}"
    if fast.of >= params.min_choices and fast.part > params.max_fast_share * fast.of:
        yield f"{fast.part} of {fast.of} sooner than anybody reads, at most {params.max_fast_share:.0%}"
