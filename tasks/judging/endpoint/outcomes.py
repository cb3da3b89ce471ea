"""What asking came to: from a reply to an outcome, and from outcomes to a judge's records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tasks.endpoint import Reply
from tasks.judging.endpoint import replies
from tasks.judging.endpoint.prompts import LETTERS
from tasks.judging.endpoint.replies import Level, Preference, Shape
from tasks.judging.records import Grade, Item, Pair, PairRecord, RankRecord, ScoreRecord, Status, Winner
from tasks.judging.rubric import Axis, Rubric

_SIGN: Mapping[Winner, int] = {"first": 1, "tie": 0, "second": -1}
_POLICY = ("content_filter", "content filter", "policy")  # in a server's words for a request that it will not take


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A verdict of the question's shape, or why there is none."""

    status: Status
    verdict: Any = None
    reason: str = ""


def outcome_of(reply: Reply | None, shape: Shape) -> Outcome:
    """What a reply comes to. Raises replies.Mistake where it may be mended."""
    if reply is None:
        return Outcome(status="unsupported", reason="No reply was kept, and no server is configured.")
    if reply.rejected is not None:
        is_policy = any(word in reply.rejected.casefold() for word in _POLICY)
        return Outcome(status="refused" if is_policy else "unsupported", reason=replies.shortened(reply.rejected))
    if reply.refusal is not None:
        return Outcome(status="refused", reason=replies.shortened(reply.refusal))
    try:
        return Outcome(status="ok", verdict=replies.read_reply(reply.text, shape, is_cut=reply.is_cut))
    except replies.Mistake:
        if "{" not in reply.text and replies.is_refusal(reply.text):
            return Outcome(status="refused", reason=replies.shortened(reply.text))
        raise


def score_record(judge: str, item: Item, outcome: Outcome, rubric: Rubric) -> ScoreRecord:
    """The record of an answer's levels."""
    grades = _grades(outcome.verdict, rubric.axes(item.part)) if outcome.status == "ok" else {}
    return ScoreRecord(judge=judge, item=item.id, status=outcome.status, grades=grades, reason=outcome.reason)


def pair_record(judge: str, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> PairRecord:
    """The record of a pair. outcomes: as it was given, and swapped; without both of them there is no verdict."""
    first, second = pair.first.id, pair.second.id
    if failed := _failed(outcomes):
        return PairRecord(judge=judge, first=first, second=second, status=failed.status, reason=failed.reason)
    said = [(outcome.verdict["axes"], outcome.verdict["verdict"]) for outcome in outcomes]
    votes = {name: _orders(axis, said[1][0][name]) for name, axis in said[0][0].items()}
    orders = _orders(said[0][1], said[1][1])
    winner = _agreed(orders)
    return PairRecord(
        judge=judge,
        first=first,
        second=second,
        status="ok",
        winner=winner,
        margin=_margin(winner, [each for both in votes.values() for each in both]),
        orders=orders,
        axes={name: _agreed(both) for name, both in votes.items()},
        reason=_why(said[0][1].reason, said[1][1].reason, is_flipped=orders[0] != orders[1]),
    )


def rank_record(
    judge: str, items: Sequence[Item], orders: Sequence[Sequence[int]], outcomes: Sequence[Outcome]
) -> RankRecord:
    """The record of a list. orders: the places in the list of the answers as each outcome's prompt showed them."""
    ids = tuple(item.id for item in items)
    if failed := _failed(outcomes):
        return RankRecord(judge=judge, items=ids, status=failed.status, reason=failed.reason)
    verdicts = [outcome.verdict for outcome in outcomes]
    places = [
        {order[LETTERS.index(letter)]: at for at, tier in enumerate(verdict["ranking"]) for letter in tier}
        for order, verdict in zip(orders, verdicts, strict=True)
    ]
    said = (verdicts[0]["reasons"][LETTERS[orders[0].index(at)]] for at in range(len(items)))
    reason = replies.joined(f"{number}: {each}" for number, each in enumerate(said, start=1))
    tiers = tuple(tuple(ids[at] for at in tier) for tier in _tiers(places))
    return RankRecord(judge=judge, items=ids, status="ok", tiers=tiers, reason=reason)


def _failed(outcomes: Sequence[Outcome]) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.status != "ok"), None)


def _grades(levels: Mapping[str, Level], axes: Mapping[str, Axis]) -> dict[str, Grade]:
    """The grades of an answer; an axis that needs others to be good is 1 where they are not."""
    grades = {}
    for name, axis in axes.items():
        said = levels[name]
        reason = replies.shortened(said.reason)
        lacking = [other for other, least in axis.needs.items() if levels[other].level < least]
        if lacking and said.level > 1:
            reason = f"Level {said.level} does not count, for want of {' and '.join(lacking)}. {reason}"
        grades[name] = Grade(score=1.0 if lacking else float(said.level), reason=reason)
    return grades


def _orders(shown: Preference, swapped: Preference) -> tuple[Winner, Winner]:
    return shown.winner(swapped=False), swapped.winner(swapped=True)


def _agreed(orders: tuple[Winner, Winner]) -> Winner:
    return orders[0] if orders[0] == orders[1] else "tie"


def _margin(winner: Winner, votes: Sequence[Winner]) -> float:
    """The share of the verdicts on single axes, in both orders, that are for the winner; negative for the second."""
    return _SIGN[winner] * votes.count(winner) / len(votes)


def _why(shown: str, swapped: str, *, is_flipped: bool) -> str:
    if not is_flipped:
        return replies.shortened(shown)
    return replies.joined([f"The order decided. The first as A: {shown}", f"The first as B: {swapped}"])


def _tiers(places: Sequence[Mapping[int, int]]) -> list[list[int]]:
    """The finest tiers between which all orders agree. places: of each order, the tier of each answer."""
    answers = sorted(places[0], key=lambda at: (sum(place[at] for place in places), at))
    cuts = [at for at in range(1, len(answers)) if _all_above(answers[:at], answers[at:], places)]
    return [sorted(answers[start:end]) for start, end in pairwise([0, *cuts, len(answers)])]


def _all_above(better: Sequence[int], worse: Sequence[int], places: Sequence[Mapping[int, int]]) -> bool:
    return all(place[one] < place[other] for one in better for other in worse for place in places)
