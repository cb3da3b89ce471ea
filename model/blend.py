"""How often each document of a mixture is seen: tasks by temperature, pretraining text replayed beside them; and how
much each of its tokens counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.batches import Batch, BatchSource
from model.documents import IGNORE, Documents

Weights = npt.NDArray[np.float32]


def task_weights(documents: Documents, *, temperature: float, chosen: Collection[int] | None = None) -> Weights:
    """Expected appearances of each conversation in an epoch, (D,): task t is drawn with p_t ~ n_t^(1/temperature).

    temperature 1 leaves tasks as large as they are, above 1 the small ones gain (T5, arXiv:1910.10683, section 3.5.2).
    n_t counts conversations by their own weights, which keep their proportions within a task; an epoch has as many as
    there are of the chosen tasks. chosen: indices of tasks, or all.
    Raises ValueError where the documents name no tasks, or no conversation is of a chosen one.
    """
    if documents.tasks is None:
        raise ValueError("the documents name no tasks: they are no mixture")
    tasks = documents.tasks.astype(np.int64)
    own = documents.weights.astype(np.float64)
    counts = np.bincount(tasks, weights=own, minlength=1)
    if chosen is not None:
        counts[[index not in chosen for index in range(len(counts))]] = 0.0
    if not counts.sum():
        raise ValueError("no conversation is of a task that is trained")
    rates = np.where(counts > 0, counts, 1.0) ** (1.0 / temperature) * (counts > 0)
    wanted = rates / rates.sum() * counts.sum()  # conversations of each task in an epoch
    each = wanted / np.where(counts > 0, counts, 1.0)
    weights: Weights = (each[tasks] * own).astype(np.float32)
    return weights


def with_replay(mixture: Documents, text: Documents, *, share: float) -> Documents:
    """The mixture and pretraining text in one, so that `share` of an epoch's tokens are text, all of it taught.

    The text's own weights keep their proportions. Raises ValueError where share is not from 0 to below 1, and where
    there is no text.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"a share of {share} is not allowed; allowed: from 0 to below 1")
    if not share:
        return mixture
    wanted = share / (1.0 - share) * expected_tokens(mixture)
    if not (there := expected_tokens(text)):
        raise ValueError(f"{len(text)} documents of pretraining text with {there:.0f} tokens: nothing to replay")
    factor = wanted / there
    taught = np.ones(len(text.tokens), dtype=np.bool_)
    own = np.ones(len(mixture.tokens), dtype=np.bool_) if mixture.taught is None else mixture.taught
    return replace(
        mixture,
        tokens=np.concatenate([mixture.tokens, text.tokens]),
        offsets=np.concatenate([mixture.offsets, text.offsets[1:] + mixture.offsets[-1]]),
        weights=np.concatenate([mixture.weights, (text.weights * factor).astype(np.float32)]),
        bytes=np.concatenate([mixture.bytes, text.bytes]),
        taught=np.concatenate([own, taught]),
        tasks=None,
    )


def expected_tokens(documents: Documents) -> float:
    """Tokens of an epoch, padding not counted."""
    return float(np.diff(documents.offsets) @ documents.weights.astype(np.float64))


@dataclass(frozen=True)
class BalancedBatches:
    """The batches of a source, a long answer's tokens counting less; see `balanced`."""

    source: BatchSource
    balance: float

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run, from 0."""
        return balanced(self.source.batch(index), balance=self.balance)


def balanced(batch: Batch, *, balance: float) -> Batch:
    """The batch with its counts: a target counts length^-balance, its length the targets of its piece of a document.

    0: every token counts the same; 1: every piece does, however long its answer. The counts' sum is that of the targets
    of the whole batch, so that a step does not depend on the micro-batches it is cut into.
    """
    taught = batch.targets != IGNORE
    if not balance or batch.documents is None or not taught.any():
        return batch
    each = _piece_lengths(batch.documents, taught).pow(-balance)
    counts = torch.zeros(batch.targets.shape)
    counts[taught] = each * (len(each) / each.sum())
    return replace(batch, counts=counts)


def _piece_lengths(documents: Tensor, taught: Tensor) -> Tensor:
    """For each taught token, how many its piece of a document has: (taught,), float32."""
    rows = torch.arange(len(documents))[:, None]
    keys = (rows * (int(documents.max()) + 1) + documents)[taught]
    return torch.bincount(keys)[keys].float()
