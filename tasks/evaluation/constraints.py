"""Whether an answer keeps to what its instruction asked for: words used, a sentence included, a length.

The constraints of a row are a JSON object with any of `words` (list), `sentence` (text) and `length`
([least, most], in words). Every required word counts as a constraint of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.cleaning.words import split_words
from tasks.evaluation.language import same_word

KINDS = ("words", "sentence", "length")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How many constraints of each kind an answer had to keep, and how many it kept."""

    asked: Mapping[str, int]
    met: Mapping[str, int]

    @property
    def total_asked(self) -> int:
        return sum(self.asked.values())

    @property
    def total_met(self) -> int:
        return sum(self.met.values())


def check(answer: str, constraints: str | Mapping[str, Any]) -> Kept:
    """Counts the constraints that an answer meets.

    A required word is met by an inflected form of it too ("ran" for "run"), not by a derived one ("runner").
    A sentence is met where its words stand in a row, whatever the case and punctuation. A length is met from
    its least to its most number of white-space words. Raises ValueError on a kind that is not known.
    """
    asked = json.loads(constraints) if isinstance(constraints, str) else constraints
    unknown = set(asked) - set(KINDS)
    if unknown:
        raise ValueError(f"unknown constraint {', '.join(sorted(unknown))}; known: {', '.join(KINDS)}")
    count, met = dict.fromkeys(asked, 1), dict.fromkeys(asked, 0)
    if "words" in asked:
        count["words"] = len(asked["words"])
        met["words"] = sum(uses_word(answer, word) for word in asked["words"])
    if "sentence" in asked:
        met["sentence"] = int(holds_sentence(answer, asked["sentence"]))
    if "length" in asked:
        least, most = asked["length"]
        met["length"] = int(least <= len(answer.split()) <= most)
    return Kept(asked=count, met=met)


def uses_word(answer: str, word: str) -> bool:
    """Whether a word, or the words of a phrase in a row, stand in the answer; the last may be inflected."""
    *head, last = split_words(word) or [""]
    words = split_words(answer)
    return any(
        same_word(words[at + len(head)], last) and words[at : at + len(head)] == head
        for at in range(len(words) - len(head))
    )


def holds_sentence(answer: str, sentence: str) -> bool:
    """Whether the sentence's words stand in the answer in a row."""
    wanted = split_words(sentence)
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(split_words(answer))} "
