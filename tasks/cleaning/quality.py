"""Length, characters and repetition (after Gopher, arXiv:2112.11446, table A1), counted in words."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from tasks.cleaning.markup import checked_pattern
from tasks.cleaning.words import Grams, ngrams
from tasks.stage import Params

_HASH_BITS = np.uint64(44)  # of a text's own n-grams; the bits above hold the text's number in its batch
_FEWEST_LINES = 4  # below, a repeated line says nothing


class LengthParams(Params):
    """Bounds, both inclusive."""

    min_words: int = Field(ge=1)
    max_words: int = Field(ge=1)
    min_characters: int = Field(ge=1)
    max_characters: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> "LengthParams":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words={self.min_words} is above max_words={self.max_words}")
        if self.min_characters > self.max_characters:
            raise ValueError(f"min_characters={self.min_characters} is above max_characters={self.max_characters}")
        return self


class CharacterParams(Params):
    """allowed: the inside of a regular expression's [...]; the shares are of a text's characters."""

    allowed: str
    min_allowed_share: float = Field(ge=0, le=1)
    min_letter_share: float = Field(ge=0, le=1)

    @field_validator("allowed")
    @classmethod
    def _compiles(cls, allowed: str) -> str:
        checked_pattern(f"[{allowed}]")
        return allowed


class RepetitionParams(Params):
    """The largest shares that pass; n-gram shares are of a text's words."""

    max_repeated_lines: float = Field(ge=0, le=1)
    max_top_ngram: dict[int, float]
    max_repeated_ngrams: dict[int, float]

    @field_validator("max_top_ngram", "max_repeated_ngrams")
    @classmethod
    def _sizes(cls, shares: dict[int, float]) -> dict[int, float]:
        for n, share in shares.items():
            if n < 1 or not 0 <= share <= 1:
                raise ValueError(f"{n}: {share} is not a size of at least 1 with a share of 0 to 1")
        return shares


def length_problem(text: str, words: int, params: LengthParams) -> tuple[str, str] | None:
    """The reason and its detail, or None."""
    if words < params.min_words:
        return "too_short", f"{words} words, at least {params.min_words}"
    if len(text) < params.min_characters:
        return "too_short", f"{len(text)} characters, at least {params.min_characters}"
    if words > params.max_words:
        return "too_long", f"{words} words, at most {params.max_words}"
    if len(text) > params.max_characters:
        return "too_long", f"{len(text)} characters, at most {params.max_characters}"
    return None


class Characters:
    """Shares of allowed characters and of letters."""

    def __init__(self, params: CharacterParams) -> None:
        self._params = params
        self._others = re.compile(f"[^{params.allowed}]+")

    def problem(self, text: str, words: Sequence[str]) -> tuple[str, str] | None:
        """The reason and its detail, or None."""
        others = "".join(self._others.findall(text))
        share = 1 - len(others) / len(text)
        if share < self._params.min_allowed_share:
            seen = " ".join(sorted(set(others))[:8])
            return "character_set", f"{share:.1%} of the characters are allowed ones; others: {seen}"
        letters = sum(map(len, words)) / max(1, len(text) - text.count(" ") - text.count("\n"))
        if letters < self._params.min_letter_share:
            return "character_set", f"{letters:.1%} letters and digits"
        return None


def repeated_lines(text: str) -> float:
    """The share of lines that stood before in the text."""
    lines = [line for line in text.lower().split("\n") if line]
    return 1 - len(set(lines)) / len(lines) if len(lines) >= _FEWEST_LINES else 0.0


def repeated_ngrams(words: Grams, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each of N texts: the share of its words that its most frequent n-gram covers, and the share of
    its n-grams that occur more than once. Both (N,); an n-gram that occurs once counts as nothing.
    """
    grams = ngrams(words, n)
    texts = len(grams.counts)
    top, repeated = np.zeros(texts), np.zeros(texts)
    if not len(grams.values):
        return top, repeated
    keys = (grams.owners.astype(np.uint64) << _HASH_BITS) | (grams.values >> np.uint64(64 - int(_HASH_BITS)))
    keys.sort()
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    runs = np.diff(np.append(starts, len(keys)))
    many = runs > 1
    owners, runs = (keys[starts[many]] >> _HASH_BITS).astype(np.int64), runs[many].astype(np.float64)
    np.maximum.at(top, owners, runs)
    np.add.at(repeated, owners, runs)
    return top * n / np.maximum(words.counts, 1), repeated / np.maximum(grams.counts, 1)


def repetition_problems(texts: Sequence[str], words: Grams, params: RepetitionParams) -> list[str]:
    """For each text what it repeats, or ""."""
    problems = [
        f"{share:.0%} of its lines are repeated" if (share := repeated_lines(text)) > params.max_repeated_lines else ""
        for text in texts
    ]
    for n in sorted({*params.max_top_ngram, *params.max_repeated_ngrams}):
        top, repeated = repeated_ngrams(words, n)
        for i in np.flatnonzero(top > params.max_top_ngram.get(n, 1.0)):
            problems[i] = problems[i] or f"one {n}-gram covers {top[i]:.0%} of its words"
        for i in np.flatnonzero(repeated > params.max_repeated_ngrams.get(n, 1.0)):
            problems[i] = problems[i] or f"{repeated[i]:.0%} of its {n}-grams are repeated"
    return problems
