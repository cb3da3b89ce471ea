"""The n-gram baseline beside a slow and plain one, written from Chen and Goodman's formulas."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluation.ngram import NgramModel, train_ngram

START = -1  # stands before a document; never predicted
Gram = tuple[int, ...]


class PlainKneserNey:
    """Interpolated modified Kneser-Ney with dictionaries (TR-10-98, equations 24 to 26, section 4.1.6)."""

    def __init__(self, documents: Sequence[Sequence[int]], *, order: int, vocabulary_size: int, end: int) -> None:
        self.order, self.size, self.end = order, vocabulary_size, end
        raw: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        for document in documents:
            for gram in self._predicted(document):
                for k in range(1, order + 1):
                    raw[k][gram[order - k :]] += 1
        self.counts = [Counter[Gram]()] + [self._adjusted(raw, k) for k in range(1, order + 1)]
        self.discounts = [(0.0,)] + [self._discounts(counts) for counts in self.counts[1:]]
        self.after: list[dict[Gram, list[int]]] = [{}]
        for counts in self.counts[1:]:
            after = defaultdict(list)
            for gram, count in counts.items():
                after[gram[:-1]].append(count)
            self.after.append(after)

    def _predicted(self, document: Sequence[int]) -> list[Gram]:
        padded = [START] * (self.order - 1) + list(document) + [self.end]
        return [tuple(padded[at : at + self.order]) for at in range(len(document) + 1)]

    def _adjusted(self, raw: list[Counter[Gram]], k: int) -> Counter[Gram]:
        if k == self.order:
            return raw[k]
        different = Counter(gram[1:] for gram in raw[k + 1])  # N1+(. w): what precedes, each counted once
        return Counter(
            {gram: count if k > 1 and gram[0] == START else different[gram] for gram, count in raw[k].items()}
        )

    @staticmethod
    def _discounts(counts: Counter[Gram]) -> tuple[float, ...]:
        n = [0, *(sum(count == c for count in counts.values()) for c in (1, 2, 3, 4))]
        y = n[1] / (n[1] + 2 * n[2])
        found = (0.0, *(c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3)))
        assert all(0.1 <= value <= c for c, value in enumerate(found) if c), "a corpus on which nothing is clipped"
        return found

    def probability(self, history: Gram, token: int) -> float:
        """P(token | history), history of k - 1 tokens."""
        k = len(history) + 1
        lower = self.probability(history[1:], token) if k > 1 else 1 / self.size
        after = self.after[k].get(history, [])
        if not after:
            return lower
        d = self.discounts[k]
        count = self.counts[k][(*history, token)]
        gamma = sum(d[min(c, 3)] for c in after) / sum(after)
        return (count - d[min(count, 3)]) / sum(after) + gamma * lower

    def bits(self, document: Sequence[int]) -> float:
        return -sum(math.log2(self.probability(gram[:-1], gram[-1])) for gram in self._predicted(document))


def corpus(seed: int, documents: int, *, vocabulary_size: int = 400, end: int = 0) -> list[np.ndarray]:
    """Documents of a Markov chain, so that there is something to learn, with a long tail of rare tokens."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary_size) ** 1.1
    words = np.array([token for token in range(vocabulary_size) if token != end])
    made = []
    for _ in range(documents):
        tokens = [int(rng.choice(words, p=weights / weights.sum()))]
        for _ in range(int(rng.integers(3, 30))):
            follows = (tokens[-1] * 7 + int(rng.integers(4))) % vocabulary_size
            drawn = int(rng.choice(words, p=weights / weights.sum()))
            tokens.append(follows if follows != end and rng.random() < 0.5 else drawn)
        made.append(np.array(tokens, dtype=np.int64))
    return made


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("end", [0, 7])
def test_equals_the_plain_one(order: int, end: int) -> None:
    train, test = corpus(1, 150, end=end), corpus(2, 30, end=end)
    test[0] = train[0]  # also one whose long n-grams are known
    plain = PlainKneserNey([list(map(int, document)) for document in train], order=order, vocabulary_size=400, end=end)
    model = train_ngram(train, order=order, vocabulary_size=400, end=end)
    expected = [plain.bits([int(token) for token in document]) for document in test]
    np.testing.assert_allclose(model.bits(test), expected, rtol=1e-9, atol=1e-9)


def after(model: NgramModel, context: Sequence[int]) -> np.ndarray:
    """The probabilities of all tokens after a context that opens a document."""
    pad = [model.end] * (len(model.orders) - 1)
    streams = [np.array([*pad, *context, token], dtype=np.int64) for token in range(model.vocabulary_size)]
    return np.array([model.probabilities(stream)[-1] for stream in streams])


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=6),
    context=st.lists(st.integers(1, 8), max_size=6),
    order=st.integers(1, 5),
)
def test_probabilities_sum_to_one_after_any_context(documents: list[list[int]], context: list[int], order: int) -> None:
    model = train_ngram([np.array(d, dtype=np.int64) for d in documents], order=order, vocabulary_size=9, end=0)
    found = after(model, context)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_known_text_costs_less_than_the_same_tokens_shuffled() -> None:
    train = corpus(1, 200)
    model = train_ngram(train, order=3, vocabulary_size=400, end=0)
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(document) for document in train]
    assert model.bits(train).sum() < 0.8 * model.bits(shuffled).sum()


def test_a_longer_memory_pays_on_ordered_text() -> None:
    train, test = corpus(1, 300), corpus(2, 30)
    costs = [train_ngram(train, order=k, vocabulary_size=400, end=0).bits(test).sum() for k in (1, 2)]
    assert costs[1] < 0.95 * costs[0]


def test_what_stands_before_a_document_does_not_change_it() -> None:
    train = corpus(1, 60)
    model = train_ngram(train, order=4, vocabulary_size=400, end=0)
    together = model.bits(train[:5])
    alone = [model.bits([document])[0] for document in train[:5]]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_the_end_is_learnt() -> None:
    always_three = [np.array([1, 2, 3])] * 20
    model = train_ngram(always_three, order=3, vocabulary_size=5, end=0)
    whole, cut = model.bits([np.array([1, 2, 3]), np.array([1, 2])])
    assert whole < cut
    assert all(left != right for left, right in pairwise(after(model, [1, 2])[2:4]))


@pytest.mark.parametrize(("documents", "order"), [([], 3), ([np.array([1])], 0)])
def test_nothing_to_count_is_refused(documents: list[np.ndarray], order: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        train_ngram(documents, order=order, vocabulary_size=5, end=0)
