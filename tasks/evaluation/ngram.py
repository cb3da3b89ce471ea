"""An n-gram language model with interpolated, modified Kneser-Ney smoothing, in numpy.

Kneser and Ney 1995; Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling",
TR-10-98, section 3 (modified discounts, interpolated form). kenlm's package scores but cannot train.

Legend: a k-gram is known by its index among the sorted distinct k-grams of the training text, so that a
(k+1)-gram's key is (index of its first k tokens) * V + (its last token), whatever k is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The k-grams of one order: their sorted keys, what each takes of its context, what is left over."""

    keys: Ints  # (grams,), sorted
    discounted: Floats  # (grams,): (count - discount) / count of the context
    backoff: Floats  # (contexts,): the weight of the next lower order after each context; 1 where unseen


@dataclass(frozen=True, kw_only=True)
class NgramModel:
    """A trained model; `orders[k - 1]` holds the k-grams."""

    vocabulary_size: int
    end: int
    orders: tuple[Order, ...]

    def bits(self, documents: Sequence[Ints]) -> Floats:
        """The cost in bits of each document, its end token included; shape (documents,)."""
        stream, real, owner = _padded(documents, order=len(self.orders), end=self.end)
        probabilities = self.probabilities(stream)
        return _sums(owner[real], -np.log2(probabilities[real]), len(documents))

    def probabilities(self, stream: Ints) -> Floats:
        """The probability of each token of the stream after those before it; shape (tokens,)."""
        result = np.full(len(stream), 1 / self.vocabulary_size)
        index = np.zeros(len(stream), dtype=np.int64)  # of the (k-1)-gram that ends at each place; -1: unseen
        for k, order in enumerate(self.orders, start=1):
            context = np.concatenate([[0 if k == 1 else -1], index[:-1]])
            found = _find(order.keys, np.where(context >= 0, context * self.vocabulary_size + stream, -1))
            result = np.where(context >= 0, order.backoff[context], 1.0) * result
            result += np.where(found >= 0, order.discounted[found], 0.0)
            index = found
        return result


def train_ngram(documents: Sequence[Ints], *, order: int, vocabulary_size: int, end: int) -> NgramModel:
    """Trains on documents of token ids (without their end tokens, which are added here).

    Raises ValueError where there is nothing to count.
    """
    if order < 1 or not documents:
        raise ValueError(f"an n-gram model needs an order of at least 1 and a document; got {order}, {len(documents)}")
    stream, real, _ = _padded(documents, order=order, end=end)
    keys, index, counts = _count(stream, real, order=order, vocabulary_size=vocabulary_size)
    orders = []
    for k in range(1, order + 1):
        count = counts[k - 1]
        if k < order:
            opens = _opens(keys[:k], end, vocabulary_size)
            count = _continuations(index[k - 1][real], index[k][real], counts[k - 1], opens)
        contexts = 1 if k == 1 else len(keys[k - 2])
        orders.append(_smoothed(keys[k - 1], count, contexts, vocabulary_size))
    return NgramModel(vocabulary_size=vocabulary_size, end=end, orders=tuple(orders))


def _padded(documents: Sequence[Ints], *, order: int, end: int) -> tuple[Ints, npt.NDArray[np.bool_], Ints]:
    """One stream in which each document follows order-1 end tokens and has one after it.

    Returns the stream, which of its tokens are predicted, and the document each belongs to.
    """
    before, after = np.full(order - 1, end, dtype=np.int64), np.array([end], dtype=np.int64)
    parts = [part for document in documents for part in (before, document.astype(np.int64), after)]
    lengths = np.array([len(document) + order for document in documents], dtype=np.int64)
    owner = np.repeat(np.arange(len(documents)), lengths)
    starts = np.cumsum(lengths) - lengths
    within = np.arange(len(owner)) - starts[owner]
    return np.concatenate(parts), within >= order - 1, owner


def _count(
    stream: Ints, real: npt.NDArray[np.bool_], *, order: int, vocabulary_size: int
) -> tuple[list[Ints], list[Ints], list[Ints]]:
    """For each k: the sorted keys, the k-gram that ends at each place of the stream, and raw counts."""
    keys, index, counts = [], [], []
    previous = np.zeros(len(stream), dtype=np.int64)
    for _ in range(order):
        key = np.concatenate([[0], previous[:-1]]) * vocabulary_size + stream
        found, where = np.unique(key, return_inverse=True)
        keys.append(found)
        index.append(where.astype(np.int64))
        counts.append(np.bincount(where[real], minlength=len(found)).astype(np.int64))
        previous = index[-1]
    return keys, index, counts


def _continuations(index: Ints, longer: Ints, raw: Ints, opens: npt.NDArray[np.bool_]) -> Ints:
    """In how many contexts each k-gram was seen; raw counts for those that open a document (they have one).

    index, longer: the k-gram and the (k+1)-gram that end at each place that is predicted.
    """
    last = np.full(longer.max() + 1, -1)
    last[longer] = np.arange(len(longer))  # a place where each distinct (k+1)-gram ends
    contexts = np.bincount(index[last[last >= 0]], minlength=len(raw)).astype(np.int64)
    return np.where(opens, raw, contexts)


def _opens(keys: list[Ints], end: int, vocabulary_size: int) -> npt.NDArray[np.bool_]:
    """Which k-grams begin with the padding before a document; keys: those of the orders 1 to k."""
    if len(keys) == 1:
        return np.zeros(len(keys[0]), dtype=bool)
    first_token = keys[0]
    for level in keys[1:]:
        first_token = first_token[level // vocabulary_size]
    opens: npt.NDArray[np.bool_] = first_token == end
    return opens


def _sums(index: Ints, values: npt.NDArray[np.generic], size: int) -> Floats:
    """The sum of the values of each index; shape (size,)."""
    return np.bincount(index, weights=values, minlength=size).astype(np.float64)


def _smoothed(keys: Ints, count: Ints, contexts: int, vocabulary_size: int) -> Order:
    """What each k-gram and each context get by modified Kneser-Ney discounting of `count`."""
    discount = _discounts(count)[np.minimum(count, 3)]
    context = keys // vocabulary_size
    total, taken = _sums(context, count, contexts), _sums(context, discount, contexts)
    seen = np.maximum(total, 1)
    return Order(
        keys=keys,
        discounted=(count - discount) / seen[context],
        backoff=np.where(total > 0, taken / seen, 1.0),
    )


def _discounts(count: Ints) -> Floats:
    """D(0..3+) of Chen and Goodman's equation 26; kept within [0, count] where a text is too small for it."""
    n1, n2, n3, n4 = (max(1, int((count == c).sum())) for c in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    values = [0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return np.array([float(np.clip(value, 0.0 if c == 0 else 0.1, c)) for c, value in enumerate(values)])


def _find(keys: Ints, wanted: Ints) -> Ints:
    """The index of each wanted key among the sorted keys; -1 where it is not there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)
