"""The words of the judge's stories and those of a general dictionary (pyspellchecker's, with frequencies)."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from tasks.cleaning.words import split_words
from tasks.evaluation.language import STOP_WORDS, tokens

UNSEEN = 1e-9  # the frequency of a word that no dictionary holds: 1 in a billion
OWN_WORDS = 10_000  # how many words of general English the judge's stories weigh against, in a word's frequency


class Vocabulary:
    """How common a word is, in the judge's own stories and in general."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = dict(counts)
        self.total = sum(counts.values())

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Vocabulary":
        return cls(Counter(word for text in texts for word in split_words(text)))

    def unknown_share(self, words: Sequence[str], *, allowance: int = 0) -> float:
        """The share of words that the stories don't hold; allowance: known words added, for very short texts."""
        unknown = sum(word not in self.counts for word in words)
        return unknown / max(1, len(words) + allowance)

    def knows(self, word: str) -> bool:
        """Whether a lower-case word without its apostrophe stands in the stories or in the dictionary."""
        return word in self.counts or is_english(word)

    def rare(self, words: Sequence[str], *, per_million: float) -> list[str]:
        """The words that are rare in general English, and not of the stories, in their order."""
        limit = per_million / 1e6
        return [word for word in words if word not in self.counts and general_frequency(word) < limit]

    def bits(self, word: str) -> float:
        """What a word costs by its frequency alone."""
        return -math.log2((self.counts.get(word, 0) + OWN_WORDS * general_frequency(word)) / (self.total + OWN_WORDS))


def misspelt(text: str, own: Vocabulary) -> list[str]:
    """The words that neither the stories nor the dictionary hold and that are no names, each time they stand there.

    A name is written with a capital wherever it stands.
    """
    found = tokens(text)
    lower = {word for word in found if word[0].islower()}
    return [
        word
        for word in found
        if word[0].isalpha() and (word[0].islower() or word.lower() in lower) and not _is_known(word, own)
    ]


def _is_known(word: str, own: Vocabulary) -> bool:
    parts = [part for piece in word.lower().split("-") for part in split_words(piece)]
    bare = word.lower().replace("’", "'").removesuffix("'s").removesuffix("'")
    return (
        all(part in own.counts for part in parts)
        or is_english(bare)
        or all(is_english(piece) or piece in own.counts for piece in bare.split("-"))
    )


@lru_cache(maxsize=100_000)
def is_english(word: str) -> bool:
    """Whether a lower-case word stands in the dictionary."""
    return word in _dictionary()


@lru_cache(maxsize=100_000)
def general_frequency(word: str) -> float:
    """The share of a lower-case word among the words of general English."""
    return max(UNSEEN, _dictionary()[word] / _dictionary_total()) if word in _dictionary() else UNSEEN


def content_words(words: Iterable[str]) -> list[str]:
    """The words that are not of the stop list, each once."""
    return [word for word in dict.fromkeys(words) if word not in STOP_WORDS]


@cache
def _dictionary() -> Mapping[str, int]:
    from spellchecker import SpellChecker

    words: Any = SpellChecker().word_frequency.dictionary
    return dict(words)


@cache
def _dictionary_total() -> int:
    return sum(_dictionary().values())
