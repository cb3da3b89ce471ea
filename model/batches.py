"""Batches cut from token files: every batch is a function of (files, seed, index), nothing is replayed.

Letters: B rows of a batch, T positions of a row (the context).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.documents import IGNORE, Documents, Ints

Packing = Literal["stream", "whole"]

POOL = 1024  # documents looked at for the best fit: enough for 98-99 % full rows, few enough to stay near the order


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learns from. All (B, T).

    inputs, targets: int64, targets `IGNORE` where nothing is learnt; documents: int32, equal inside a piece of a
    document, or None: positions may look over document ends; positions: int64, or None: 0..T-1; counts: float32, how
    much each target counts, together as much as there are targets, or None: 1 each.
    """

    inputs: Tensor
    targets: Tensor
    documents: Tensor | None = None
    positions: Tensor | None = None
    counts: Tensor | None = None

    @property
    def rows(self) -> int:
        """B."""
        return self.inputs.shape[0]

    def target_count(self) -> int:
        """How many targets the loss is a mean over."""
        return int((self.targets != IGNORE).sum())

    def token_count(self) -> int:
        """How many positions hold text, taught or not: what a step reads."""
        return self.target_count() if self.documents is None else int((self.documents > 0).sum())

    def split(self, rows: int) -> Iterator[Batch]:
        """Micro-batches of at most `rows` rows."""
        for start in range(0, self.rows, rows):
            part = slice(start, start + rows)
            yield Batch(*(None if x is None else x[part] for x in self._tensors()))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(self, **{own.name: _moved(getattr(self, own.name), device) for own in fields(self)})

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.inputs, self.targets, self.documents, self.positions, self.counts


class BatchSource(Protocol):
    """Where the training loop gets its batches: any one by its index, so that a resume replays nothing."""

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run, from 0."""


@dataclass(frozen=True)
class Pieces:
    """Stretches of documents laid out in rows. document, start, length: (P,); first: (rows + 1,), a row's pieces.

    Piece p of document d teaches d's tokens start..start + length; its inputs are the tokens one before, the first
    of all being the end token of whatever came before the document.
    """

    document: Ints
    start: Ints
    length: Ints
    first: Ints

    @property
    def rows(self) -> int:
        """How many rows the pieces fill."""
        return len(self.first) - 1


def epoch_order(weights: npt.NDArray[np.float32], *, seed: int, epoch: int) -> Ints:
    """The documents of an epoch in order: d appears floor(w) times, once more with probability w - floor(w).

    A function of (weights, seed, epoch) alone.
    """
    rng = np.random.default_rng([seed, epoch])
    whole = np.floor(weights)
    copies = whole.astype(np.int64) + (rng.random(len(weights)) < weights - whole)
    order: Ints = rng.permutation(np.repeat(np.arange(len(weights)), copies))
    return order


def pack_stream(order: Ints, lengths: Ints, *, context: int) -> Pieces:
    """Lay documents end to end and cut every `context` tokens: no padding; a document may go on in the next row."""
    ends = np.cumsum(lengths[order])
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.union1d(np.concatenate(([0], ends)), np.arange(0, total, context))
    begins, length = cuts[:-1], np.diff(cuts)
    owner = np.searchsorted(ends, begins, side="right")
    start = begins - (ends[owner] - lengths[order[owner]])
    first = np.append(np.searchsorted(begins, np.arange(0, total, context)), len(begins))
    return Pieces(document=order[owner], start=start, length=length, first=first)


def pack_whole(order: Ints, lengths: Ints, *, context: int) -> Pieces:
    """Fill each row with documents that fit whole: first the next in order, then the longest of the pool that fits.

    Only documents longer than the context are cut. What stays free at a row's end is padding.
    """
    return pack_items(_cut_long(order, lengths, context), context=context)


def _cut_long(order: Ints, lengths: Ints, context: int) -> Iterator[tuple[int, int, int]]:
    for document in order.tolist():
        for start in range(0, int(lengths[document]), context):
            yield document, start, min(context, int(lengths[document]) - start)


def pack_items(items: Iterator[tuple[int, int, int]], *, context: int) -> Pieces:
    """Fill rows with (document, start, length) items: the oldest of a pool first, then the longest that still fits."""
    pool = _Pool(items)
    pieces: list[tuple[int, int, int]] = []
    first = [0]
    while (item := pool.oldest()) is not None:
        free = context
        while item is not None:
            pieces.append(item)
            free -= item[2]
            item = pool.longest(free)
        first.append(len(pieces))
    table = np.array(pieces, dtype=np.int64).reshape(-1, 3)
    return Pieces(document=table[:, 0], start=table[:, 1], length=table[:, 2], first=np.array(first))


class _Pool:
    """Items in order of arrival and by length; refilled to `POOL` as they are taken."""

    def __init__(self, items: Iterator[tuple[int, int, int]]) -> None:
        self.source = enumerate(items)
        self.by_age: dict[int, tuple[int, int, int]] = {}
        self.by_length: list[tuple[int, int]] = []  # (length, -age), sorted
        for _ in range(POOL):
            self._refill()

    def oldest(self) -> tuple[int, int, int] | None:
        """Take the item that has waited longest."""
        return self._take(next(iter(self.by_age))) if self.by_age else None

    def longest(self, free: int) -> tuple[int, int, int] | None:
        """Take the longest item of at most `free` tokens, the oldest of equals."""
        place = bisect.bisect_right(self.by_length, (free, 0)) - 1
        return self._take(-self.by_length[place][1]) if place >= 0 else None

    def _take(self, age: int) -> tuple[int, int, int]:
        item = self.by_age.pop(age)
        del self.by_length[bisect.bisect_left(self.by_length, (item[2], -age))]
        self._refill()
        return item

    def _refill(self) -> None:
        for age, item in itertools.islice(self.source, 1):
            self.by_age[age] = item
            bisect.insort(self.by_length, (item[2], -age))


def lay_out(pieces: Pieces, rows: Sequence[int], documents: Documents, *, context: int, isolate: bool) -> Batch:
    """Build the tensors of some rows. isolate: give each piece its own document number and positions from 0."""
    shape = (len(rows), context)
    inputs = np.full(shape, documents.end_id, dtype=np.int64)
    targets = np.full(shape, IGNORE, dtype=np.int64)
    numbers = np.zeros(shape, dtype=np.int32)
    positions = np.zeros(shape, dtype=np.int64)
    for at, row in enumerate(rows):
        column = 0
        for number, piece in enumerate(range(pieces.first[row], pieces.first[row + 1]), start=1):
            start, length = int(pieces.start[piece]), int(pieces.length[piece])
            place = slice(column, column + length)
            ids = documents.document(int(pieces.document[piece]))
            targets[at, place] = documents.targets(int(pieces.document[piece]))[start : start + length]
            shifted = np.append(documents.end_id, ids[:-1])  # what stands before each token
            inputs[at, place] = shifted[start : start + length]
            numbers[at, place] = number
            positions[at, place] = np.arange(length)
            column += length
    made = [torch.from_numpy(x) for x in (inputs, targets, numbers, positions)]
    return Batch(*made) if isolate else Batch(*made[:2])


class PackedBatches:
    """Batches of packed documents; epoch after epoch, each in its own order.

    Raises ValueError where there is nothing to train on.
    """

    def __init__(
        self, documents: Documents, *, context: int, rows: int, packing: Packing, isolate: bool, seed: int
    ) -> None:
        if packing not in ("stream", "whole"):
            raise ValueError(f"packing={packing!r} is unknown; allowed: stream, whole")
        if not len(documents) or documents.weights.sum() < 1:
            weight = documents.weights.sum()
            raise ValueError(f"{len(documents)} documents of joint weight {weight:.3g}: nothing to train on")
        self.documents = documents
        self.context = context
        self.rows = rows
        self.packing = packing
        self.isolate = isolate
        self.seed = seed
        self._lengths: Ints = np.diff(documents.offsets)
        self._ends: list[int] = []  # rows of the run up to and with each epoch
        self._latest: dict[int, Pieces] = {}

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run: its rows may stand in two epochs."""
        wanted = range(index * self.rows, (index + 1) * self.rows)
        found: dict[int, list[int]] = {}
        for row in wanted:
            epoch, place = self._locate(row)
            found.setdefault(epoch, []).append(place)
        parts = [
            lay_out(self._epoch(epoch), places, self.documents, context=self.context, isolate=self.isolate)
            for epoch, places in found.items()
        ]
        return parts[0] if len(parts) == 1 else join(parts)

    def epochs_at(self, index: int) -> float:
        """How many epochs have been seen before batch `index`."""
        row = index * self.rows
        epoch, place = self._locate(row)
        return epoch + place / self._epoch(epoch).rows

    def _locate(self, row: int) -> tuple[int, int]:
        while not self._ends or self._ends[-1] <= row:
            before = self._ends[-1] if self._ends else 0
            self._ends.append(before + self._epoch(len(self._ends)).rows)
        epoch = int(np.searchsorted(self._ends, row, side="right"))
        return epoch, row - (self._ends[epoch - 1] if epoch else 0)

    def _epoch(self, epoch: int) -> Pieces:
        if epoch not in self._latest:
            order = epoch_order(self.documents.weights, seed=self.seed, epoch=epoch)
            pack = pack_stream if self.packing == "stream" else pack_whole
            self._latest = {key: value for key, value in self._latest.items() if key == epoch - 1}
            self._latest[epoch] = pack(order, self._lengths, context=self.context)
        return self._latest[epoch]


def join(parts: Sequence[Batch]) -> Batch:
    """The rows of several batches in one, each target counting 1."""

    def joined(name: str) -> Tensor | None:
        tensors = [getattr(part, name) for part in parts]
        return None if tensors[0] is None else torch.cat(tensors)

    inputs, targets = torch.cat([p.inputs for p in parts]), torch.cat([p.targets for p in parts])
    return Batch(inputs, targets, joined("documents"), joined("positions"))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple):
        return tuple(_moved(one, device) for one in value)
    return value.to(device) if isinstance(value, Tensor | Batch) else value
