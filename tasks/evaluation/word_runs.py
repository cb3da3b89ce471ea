"""Runs of words in texts, for whoever measures how varied a text is; nothing heavy is imported here."""

from collections.abc import Iterator, Sequence


def word_ngrams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    """The runs of n white-space words of a text, in lower case."""
    words = text.lower().split()
    return zip(*(words[offset:] for offset in range(n)), strict=False)


def distinct_share(texts: Sequence[str], n: int) -> float:
    """Different word n-grams over all word n-grams of all texts together (arXiv:1510.03055), 0 where there is none."""
    grams = [gram for text in texts for gram in word_ngrams(text, n)]
    return len(set(grams)) / max(1, len(grams))
