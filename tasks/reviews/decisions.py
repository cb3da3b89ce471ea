"""What a reviewer decides, by kind of item: from the page's terms (sides) to the answers' ids, and checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.reviews.tables import Kind, Values
from tasks.stage import UserError

TIE, BOTH_BAD = "tie", "both_bad"
SKIP_REASONS = ("unclear", "not_my_language", "unsettling", "broken")
MOST_CHARACTERS = 20_000  # of a correction
LEVELS = (1, 2, 3, 4, 5)


def decision_of(kind: Kind, said: Mapping[str, Any], *, sides: Sequence[str], axes: Sequence[str]) -> Values:
    """What is kept of what the page sent. sides: generation ids in the order shown; axes: of a rating.

    choice: {"side": "left" | "right" | "tie" | "both_bad"} gives {"winner": id | "tie" | "both_bad"};
    ranking: {"tiers": [[0], [2, 1]]}, places as shown, best first, gives {"tiers": [[id], [id, id]]};
    rating: {"scores": {axis: 1 to 5}} is kept as it is; correction: {"text": ...} too.
    Raises UserError saying what is allowed.
    """
    return _OF_KIND[kind](said, sides, axes)


def _choice(said: Mapping[str, Any], sides: Sequence[str], axes: Sequence[str]) -> Values:
    winners = {"left": sides[0], "right": sides[1], TIE: TIE, BOTH_BAD: BOTH_BAD}
    side = said.get("side")
    if side not in winners:
        raise UserError(f"side is {side!r}; allowed: {', '.join(winners)}")
    return {"winner": winners[side]}


def _ranking(said: Mapping[str, Any], sides: Sequence[str], axes: Sequence[str]) -> Values:
    tiers = said.get("tiers")
    places = [place for tier in tiers if isinstance(tier, list) for place in tier] if isinstance(tiers, list) else []
    if not all(isinstance(place, int) for place in places) or sorted(places) != list(range(len(sides))):
        raise UserError(f"tiers hold each of the places 0 to {len(sides) - 1} once; got {tiers!r}")
    return {"tiers": [sorted(sides[place] for place in tier) for tier in tiers or [] if tier]}


def _rating(said: Mapping[str, Any], sides: Sequence[str], axes: Sequence[str]) -> Values:
    scores = said.get("scores")
    if not isinstance(scores, Mapping) or set(scores) != set(axes):
        raise UserError(f"scores hold each of {', '.join(axes)} once")
    if wrong := [axis for axis, level in scores.items() if level not in LEVELS or isinstance(level, bool)]:
        raise UserError(f"{wrong[0]} is {scores[wrong[0]]!r}; allowed: 1 to 5")
    return {"scores": {axis: int(scores[axis]) for axis in axes}}


def _correction(said: Mapping[str, Any], sides: Sequence[str], axes: Sequence[str]) -> Values:
    text = said.get("text")
    if not isinstance(text, str) or not text.strip():
        raise UserError("the corrected text is empty; skip the item where there is nothing to save")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"the corrected text has {len(text):,} characters; at most {MOST_CHARACTERS:,} are kept")
    return {"text": text.replace("\r\n", "\n").strip()}


_OF_KIND = {"choice": _choice, "ranking": _ranking, "rating": _rating, "correction": _correction}
