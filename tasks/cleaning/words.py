"""Words of a batch of texts as 64-bit hashes in one flat array, and the hashes of their n-grams.

Letters: N texts, T words in all.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]
Whole = TypeVar("Whole", np.int64, np.uint64)

_WORD = re.compile(r"[^\W_]+")
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying loses no bit
_KNOWN_LIMIT = 1_000_000  # words whose hash is remembered
_ASCII_TO_WORDS = {code: " " for code in range(128) if not chr(code).isalnum()} | {39: None}
_WIDE_MARKS = {"\u2019": "", "\u201c": " ", "\u201d": " ", "\u2013": " ", "\u2014": " ", "\u2026": " "}


def split_words(text: str) -> list[str]:
    """The lower-case words of a text; an apostrophe joins ("don't" is "dont")."""
    lowered = text.lower()
    if not lowered.isascii():
        for mark, instead in _WIDE_MARKS.items():
            lowered = lowered.replace(mark, instead)
    if lowered.isascii():  # translating plain text is ten times faster
        return lowered.translate(_ASCII_TO_WORDS).split()
    return _WORD.findall(lowered.replace("'", ""))


def text_hash(words: Sequence[str]) -> int:
    """64 bits of a text in which case, punctuation and white space don't count."""
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), "little")


class _WordHashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_LIMIT:
            self.clear()
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value


_HASH_OF = _WordHashes()


@dataclass(frozen=True, kw_only=True)
class Grams:
    """Hashes of things in order of their texts: text i owns values[offsets[i]:offsets[i + 1]]."""

    values: Hashes  # (T,)
    offsets: Offsets  # (N + 1,)

    @property
    def counts(self) -> Offsets:
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The text of each value, (T,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def select(self, keep: NDArray[np.bool_]) -> "Grams":
        """Only the given texts; keep: (N,)."""
        counts = self.counts
        return Grams(values=self.values[np.repeat(keep, counts)], offsets=_offsets(counts[keep]))


def hash_words(texts: Sequence[Sequence[str]]) -> Grams:
    """The hash of every word."""
    counts = np.fromiter(map(len, texts), np.int64, len(texts))
    flat = np.fromiter(map(_HASH_OF.__getitem__, chain.from_iterable(texts)), np.uint64, int(counts.sum()))
    return Grams(values=flat, offsets=_offsets(counts))


def ngrams(words: Grams, n: int) -> Grams:
    """The n-grams inside each text, by a polynomial over the words' hashes modulo 2**64."""
    counts = np.maximum(words.counts - n + 1, 0)
    total = len(words.values) - n + 1
    if total <= 0:
        return Grams(values=np.empty(0, np.uint64), offsets=_offsets(np.zeros_like(counts)))
    rolling = np.zeros(total, np.uint64)
    for k in range(n):
        rolling = rolling * _BASE + words.values[k : k + total]
    offsets = _offsets(counts)
    shift = np.repeat(words.offsets[:-1] - offsets[:-1], counts)
    return Grams(values=rolling[np.arange(offsets[-1]) + shift], offsets=offsets)


def distinct_sorted(values: NDArray[Whole]) -> NDArray[Whole]:
    """The distinct values in order; for whole numbers twice as fast as `np.unique`, which hashes first."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _offsets(counts: Offsets) -> Offsets:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
