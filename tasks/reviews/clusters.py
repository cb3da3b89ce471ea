"""Near copies of prompts are one cluster, and a cluster belongs to one split for ever.

Two prompts are near by the Jaccard similarity of their words' shingles, all pairs counted: batches are small, and a
leak between what is trained on and what is measured on would not be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.cleaning.words import split_words
from tasks.reviews.kinds import Split

SHINGLE_WORDS = 3
_AT_ONCE = 500  # prompts that are compared with all known ones in one product of matrices


@dataclass(frozen=True, kw_only=True)
class Known:
    """A prompt of the database: its text with its document, its cluster and what that may be used for."""

    id: str
    text: str
    cluster: str
    split: Split


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where new prompts belong: the cluster of each that may be used, the split of each that belongs to another."""

    clusters: Mapping[str, str]
    refused: Mapping[str, Split]


def prepare() -> None:
    """Loads what `place` computes with: it takes seconds on a busy machine, which no transaction should."""
    import sklearn.feature_extraction.text  # noqa: F401


def place(new: Mapping[str, str], known: Sequence[Known], *, split: Split, jaccard: float) -> Placed:
    """The clusters of new prompts (their texts by id), in their order; all of them are wanted for one split.

    A prompt near to one of another split is refused, whatever else it is near to. A prompt that is known already
    is placed anew by what is near to it, itself included.
    """
    clusters: dict[str, str] = {}
    refused: dict[str, Split] = {}
    every = [*known, *(Known(id=name, text=text, cluster="", split=split) for name, text in new.items())]
    for name, near in zip(new, _near(list(new.values()), [one.text for one in every], jaccard), strict=True):
        neighbours = [every[at] for at in near if at < len(known)]
        foreign = [one.split for one in neighbours if one.split != split]
        if foreign:
            refused[name] = foreign[0]
            continue
        before = [one.cluster for one in neighbours]
        before += [clusters[every[at].id] for at in near if at >= len(known) and every[at].id in clusters]
        clusters[name] = before[0] if before else name
    return Placed(clusters=clusters, refused=refused)


def shingles(text: str) -> list[str]:
    """The runs of three words of a text; a shorter text is one shingle."""
    words = split_words(text)
    runs = max(1, len(words) - SHINGLE_WORDS + 1)
    return [" ".join(words[at : at + SHINGLE_WORDS]) for at in range(runs)]


def _near(texts: Sequence[str], others: Sequence[str], jaccard: float) -> Iterator[list[int]]:
    """For each text the places of the others that are near to it, in their order."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    if not texts:
        return
    count = CountVectorizer(analyzer=shingles, binary=True, dtype="int32")
    of_others = count.fit_transform(others)  # (others, shingles), 1 where a text has a shingle
    sizes = np.asarray(of_others.sum(axis=1)).ravel()
    for start in range(0, len(texts), _AT_ONCE):
        own = count.transform(texts[start : start + _AT_ONCE])
        shared = (own @ of_others.T).toarray()  # (texts, others)
        united = np.asarray(own.sum(axis=1)).reshape(-1, 1) + sizes - shared
        for row in shared >= jaccard * united:
            yield [int(at) for at in row.nonzero()[0]]
