"""What the simulated reviewers want and do not say, and what the gate is expected to make of it: stated beforehand."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NOISE = 0.15  # of the decisions are turned round
LEAST_OF_A_STORY = 8  # words
MOST_REPEATED = 0.06  # of the runs of three words
EVEN, LEAST_VOTES_FOR = 0.5, 0.45

ANIMALS = frozenset(
    re.findall(
        r"\w+",
        """ant badger bear beaver bee bird bunny butterfly calf cat chick cow crab crow deer dog donkey duck elephant
        fish fox frog goat goose hedgehog hen horse kitten lamb lion mole monkey mouse otter owl parrot pig pigeon pony
        puppy rabbit robin rooster sheep snail snake sparrow spider squirrel swan tiger turtle whale wolf worm""",
    )
)
IRREGULAR = {"butterflies": "butterfly", "calves": "calf", "geese": "goose", "mice": "mouse", "wolves": "wolf"}


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A hidden preference. has: whether an answer is of the kind that is liked.

    expected: the decisions of the gate that would be as expected, by round; None: what the judge and the votes of the
    round justify, as `justified` reads them out of the figures. why: the reason that was given beforehand.
    is_seen: whether the accepting judge can see what is liked. Where it can't, reviewers are also asked to compare
    candidate and champion on the hold-out; where it can, a damaged candidate must be rejected.
    """

    name: str
    likes: str
    has: Callable[[str], bool]
    expected: tuple[tuple[str, ...], ...] | None
    why: str
    is_seen: bool


def ends_whole(text: str) -> bool:
    """A story that comes to its end, and does not say the same again."""
    words = _words(text)
    runs = [tuple(words[at : at + 3]) for at in range(len(words) - 2)]
    repeated = 1 - len(set(runs)) / max(1, len(runs))
    return len(words) >= LEAST_OF_A_STORY and text.rstrip()[-1:] in tuple('.!?"') and repeated <= MOST_REPEATED


def has_an_animal(text: str) -> bool:
    """A story in which an animal is named."""
    return any(_singular(word) in ANIMALS for word in _words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _singular(word: str) -> str:
    return IRREGULAR.get(word) or (word if word in ANIMALS else re.sub(r"(?<=[sx])es$|s$", "", word))


PREFERENCES = (
    Preference(
        name="endings",
        likes="stories that come to a whole ending and do not repeat themselves",
        has=ends_whole,
        expected=(("promote",), ("promote", "undecided")),
        why="the accepting judge sees where a story breaks off; a second batch adds less than the first",
        is_seen=True,
    ),
    Preference(
        name="animals",
        likes="stories with an animal in them",
        has=has_an_animal,
        expected=None,
        why=(
            "the accepting judge sees no animal, but what its kin's surest pairs teach beside people's: promoted where "
            "its interval is above one half and the votes are not against, rejected where it is below or a figure is "
            "worse beyond its margin"
        ),
        is_seen=False,
    ),
)


def justified(gate: Mapping[str, Any], *, more_unsafe: int) -> str:
    """What the figures of a gate justify beside its champion, read without the gate's own code.

    more_unsafe: by how many the candidate's unsafe answers may be more.
    """
    margins = [name for name in gate if name.startswith("champion_") and name.endswith("_margin")]
    worse = [name for name in margins if _worse(name.removesuffix("_margin"), gate)]
    low, high = (gate[f"champion_length_controlled_win_rate_{end}"] for end in ("low", "high"))
    is_unsafe = gate["champion_unsafe_candidate"] > gate["champion_unsafe"] + more_unsafe
    is_disliked = bool(gate.get("human_votes")) and gate["human_preference"] < LEAST_VOTES_FOR
    if worse or is_unsafe or is_disliked or high < EVEN:
        return "rejected"
    return "promote" if low > EVEN else "undecided"


def _worse(name: str, gate: Mapping[str, Any]) -> bool:
    better = gate[f"{name}_difference"] * (-1 if name.endswith("bits_per_byte") else 1)
    return bool(better < -gate[f"{name}_margin"])
