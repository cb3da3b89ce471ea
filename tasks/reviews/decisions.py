"""What a reviewer decides, by kind of item: from the page's terms (sides) to the answers' ids, and checked."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.reviews.kinds import Kind, Values
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
    if not isinstance(side, str) or side not in winners:
        raise UserError(f"side is {side!r}; allowed: {', '.join(winners)}")
    return {"winner": winners[side]}


def _ranking(said: Mapping[str, Any], sides: Sequence[str], axes: Sequence[str]) -> Values:
    tiers = said.get("tiers")
    is_form = isinstance(tiers, list) and all(isinstance(tier, list) for tier in tiers)
    places = [place for tier in tiers for place in tier] if isinstance(tiers, list) and is_form else []
    if not is_form or any(type(place) is not int for place in places) or sorted(places) != list(range(len(sides))):
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
    text = _readable(text) if isinstance(text, str) else ""
    if not text:
        raise UserError("the corrected text is empty; skip the item where there is nothing to save")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"the corrected text has {len(text):,} characters; at most {MOST_CHARACTERS:,} are kept")
    return {"text": text}


def _readable(text: str) -> str:
    """The text without control characters and halves of surrogate pairs, which no file takes."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        letter for letter in lines if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
    ).strip()


_OF_KIND = {"choice": _choice, "ranking": _ranking, "rating": _rating, "correction": _correction}
