"""Baselines that answer with sentences of the document: the first ones, the central ones, all of it."""

import math
from collections.abc import Sequence

import numpy as np

from tasks.evaluation.language import STOP_WORDS, sentences, stem, tokens
from tasks.evaluation.rows import Row, source_text

_LENGTHS = (1, 2, 3, 5, 8)  # sentences: three are too few where summaries are long
_TUNED_ON = 100  # training rows on which the number of sentences is chosen


class CopySource:
    """The source as it stands: what a translation must beat."""

    name = "copy"
    how = "the source as it stands"

    def answers(self, rows: Sequence[Row]) -> list[str]:
        return [source_text(row) for row in rows]

    def probabilities(self, rows: Sequence[Row]) -> None:
        return None


class Lead:
    """The first sentences of the document (lead-3 of the news summarization field)."""

    def __init__(self, count: int, *, how: str = "") -> None:
        self.name = f"lead{count}"
        self.how = how or f"the first {count} sentences"
        self._count = count

    def answers(self, rows: Sequence[Row]) -> list[str]:
        return [" ".join(sentences(source_text(row))[: self._count]) for row in rows]

    def probabilities(self, rows: Sequence[Row]) -> None:
        return None


class TextRank:
    """The sentences that share most words with the others, in the order of the text.

    PageRank over sentences, their weights the shared words over the sum of the logarithms of their lengths
    (Mihalcea and Tarau 2004, https://aclanthology.org/W04-3252), here of stems without stop words.
    """

    name = "textrank"

    def __init__(self, count: int, *, how: str = "") -> None:
        self.how = how or f"the {count} most central sentences"
        self._count = count

    def answers(self, rows: Sequence[Row]) -> list[str]:
        return [" ".join(central_sentences(source_text(row), self._count)) for row in rows]

    def probabilities(self, rows: Sequence[Row]) -> None:
        return None


def central_sentences(text: str, count: int) -> list[str]:
    """The `count` sentences of the highest rank, in the order of the text; the first of equals."""
    import networkx

    held = sentences(text)
    if len(held) <= count:
        return held
    words = [{stem(word) for word in tokens(s.lower()) if word.isalpha() and word not in STOP_WORDS} for s in held]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(held)))
    for first in range(len(held)):
        for second in range(first):
            shared = len(words[first] & words[second])
            if shared:
                size = math.log(len(words[first]) + 1) + math.log(len(words[second]) + 1)  # + 1: no log of 1
                graph.add_edge(first, second, weight=shared / size)
    rank = networkx.pagerank(graph, weight="weight")
    best = sorted(rank, key=lambda at: (-round(rank[at], 9), at))[:count]
    return [held[at] for at in sorted(best)]


def extracts(train: Sequence[Row], *, seed: int) -> list[Lead | TextRank]:
    """lead-3, the lead of the best length where that is another, and TextRank of its best length.

    The lengths are chosen by ROUGE-L on training rows.
    """
    chosen = np.random.default_rng(seed).permutation(len(train))[:_TUNED_ON]
    sample = [train[at] for at in chosen]
    lead = max(_LENGTHS, key=lambda count: _rouge_l(Lead(count), sample))
    rank = max(_LENGTHS, key=lambda count: _rouge_l(TextRank(count), sample))
    tuned = f"chosen by ROUGE-L on {len(sample)} training rows"
    found: list[Lead | TextRank] = [Lead(3)]
    if lead != 3:
        found.append(Lead(lead, how=f"the first {lead} sentences, {tuned}"))
    return [*found, TextRank(rank, how=f"the {rank} most central sentences, {tuned}")]


def _rouge_l(baseline: Lead | TextRank, rows: Sequence[Row]) -> float:
    from tasks.evaluation.task_metrics import Rouge
    from tasks.evaluation.task_scores import references_of

    kept = [row for row in rows if references_of(row)]
    if not kept:
        return 0.0
    return Rouge().measures(baseline.answers(kept), [references_of(row) for row in kept])["rouge_l"].value
