"""Where in a story a sentence belongs: naive Bayes over its words, learnt from whole stories alone.

Legend: P places (the beginning, the parts between, the end), V words.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.cleaning.words import split_words

PLACES = 5
_GRAMMAR_WORDS = "a an the was were is are am be been has have had do does did"
_GRAMMAR = frozenset(_GRAMMAR_WORDS.split())
SMOOTHING = 5.0  # sentences in which every word is taken to have stood, spread over the places as all sentences are

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """words: (V,) in order; gains: (V + 1, P), the bits that a word speaks for a place, the last row unknown words."""

    words: dict[str, int]
    gains: Floats

    def gain(self, sentences: Sequence[str]) -> float:
        """Bits a sentence that the words of a story gain by standing where they stand; 0 for less than two."""
        if len(sentences) < 2:
            return 0.0
        return float(np.mean([table[place] for table, place in zip(*self._read(sentences), strict=True)]))

    def believed_end(self, sentences: Sequence[str]) -> float:
        """How far the last sentence speaks for being the end, in bits over the best other place."""
        if not sentences:
            return 0.0
        table = self._of(sentences[-1])
        return float(table[-1] - table[:-1].max())

    def _read(self, sentences: Sequence[str]) -> tuple[list[Floats], list[int]]:
        return [self._of(sentence) for sentence in sentences], [
            place_of(at, len(sentences)) for at in range(len(sentences))
        ]

    def _of(self, sentence: str) -> Floats:
        words = _telling(sentence)
        rows = sorted(self.words[word] for word in words if word in self.words)
        return np.asarray(self.gains[rows].sum(axis=0) / math.sqrt(max(1, len(rows))))


def _telling(sentence: str) -> set[str]:
    """The words of a sentence without those that only carry its grammar."""
    return set(split_words(sentence)) - _GRAMMAR


def place_of(at: int, count: int) -> int:
    """The place of a sentence: first and last stand alone, the rest is spread over those between."""
    if at == 0:
        return 0
    if at == count - 1:
        return PLACES - 1
    return 1 + (at - 1) * (PLACES - 2) // max(1, count - 2)


def learn_places(stories: Sequence[Sequence[str]], *, least: int = 3) -> Places:
    """Counts in which places words stand; stories: their sentences. Words of fewer sentences say nothing."""
    counts: dict[str, list[float]] = {}
    sentences = np.zeros(PLACES)
    for story in stories:
        for at, sentence in enumerate(story):
            place = place_of(at, len(story))
            sentences[place] += 1
            for word in _telling(sentence):
                counts.setdefault(word, [0.0] * PLACES)[place] += 1
    kept = {word: row for word, row in sorted(counts.items()) if sum(row) >= least}
    share = sentences / max(1.0, sentences.sum())
    table = np.array(list(kept.values())).reshape(-1, PLACES) + SMOOTHING * share
    expected = table.sum(axis=1, keepdims=True) * share
    gains = np.log2(np.maximum(table, 1e-9) / np.maximum(expected, 1e-9))
    return Places({word: at for at, word in enumerate(kept)}, np.round(gains, 6))


def early_mentions(told: Sequence[str]) -> float:
    """The share of introductions that come too late: "a fox" after "the fox", "named Tom" after Tom; a story that
    begins with a pronoun or a link has one more. An order that writers avoid; nothing is learnt for it.
    """
    if not told:
        return 0.0
    spoken_of: set[str] = set()
    names: set[str] = set()
    opening = (split_words(told[0]) or [""])[0]
    late, introductions = float(opening in _LEANING), 1
    for sentence in told:
        words = split_words(sentence)
        for before, word in pairwise(words):
            if before in ("a", "an"):
                late += word in spoken_of
                introductions += 1
            elif before in _DEFINITE:
                spoken_of.add(word)
        introduced = _INTRODUCED.findall(sentence)
        late += sum(name in names for name in introduced)
        introductions += len(introduced)
        names.update(_NAME.findall(sentence))
    return late / introductions


_DEFINITE_WORDS = "the his her their its"
_DEFINITE = frozenset(_DEFINITE_WORDS.split())
_LEANING_WORDS = "he she they it him her them his their its then but so and after suddenly now that"
_LEANING = frozenset(_LEANING_WORDS.split())
_INTRODUCED = re.compile(r"\b(?:named|called|name was) ([A-Z]\w+)")
_NAME = re.compile(r"\b[A-Z]\w+")
