"""Batches of judged answers: those of an example always in the same micro-batch, replayed text in others beside them.

Every batch is a function of (examples, reference, replay, seed, index): nothing is replayed on a resume.
Letters: B rows of a batch, T positions of a row, E examples and S answers of a micro-batch, N its targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.batches import Batch, BatchSource, Pieces, join, lay_out
from model.documents import Ints
from model.preferences.judged import Judged, Reference
from model.preferences.likelihood import answer_lengths

LOOK_AHEAD = 64  # examples that are tried for a place that the next one in order does not fit


@dataclass(frozen=True, kw_only=True)
class Answers(Batch):
    """Packed answers. lengths: targets of each, as they stand in the rows; reference: (N,), the reference's
    log-probabilities of the targets."""

    lengths: tuple[int, ...]
    reference: Tensor


@dataclass(frozen=True, kw_only=True)
class Examples(Answers):
    """A micro-batch of examples. places: (E, M), which of the answers are an example's, the chosen one first.

    step: the optimiser step, from 0; weights: (E,); scale: what an example's loss is multiplied by so that a step's sum
    over its targets is the mean over its examples; desirable: (E,), or None: pairs; unrelated: of KTO, in the first
    of a step, the whole step's prompts followed by other prompts' answers.
    """

    places: Tensor
    weights: Tensor
    step: int
    scale: float
    desirable: Tensor | None = None
    unrelated: tuple[Answers, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepBatch(Batch):
    """All rows of an optimiser step, and the micro-batches that they must be taken in."""

    parts: tuple[Batch, ...]

    def split(self, rows: int) -> Iterator[Batch]:
        """The micro-batches; `rows` is what they were made for."""
        return iter(self.parts)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Text that is taught beside the examples. source: batches of one row; share: of the tokens of a step.

    weight: of its mean loss, nats a token, beside an example's loss.
    """

    source: BatchSource
    share: float
    weight: float

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"a share of replay of {self.share} is not allowed; allowed: above 0 and below 1")


class PreferenceBatches:
    """Optimiser steps' batches of examples; epoch after epoch, each example once in each, in the epoch's own order.

    rows: of a step; micro_rows: of a micro-batch, a divisor of rows. Raises ValueError where an example does not fit
    a micro-batch.
    """

    def __init__(
        self,
        judged: Judged,
        reference: Reference,
        *,
        context: int,
        rows: int,
        micro_rows: int,
        seed: int,
        replay: Replay | None = None,
    ) -> None:
        if rows % micro_rows:
            raise ValueError(f"{rows} rows of a step are no whole micro-batches of {micro_rows}")
        self.judged = judged
        self.reference = reference
        self.context = context
        self.micro_rows = micro_rows
        self.groups = rows // micro_rows  # micro-batches of examples in a step
        self.seed = seed
        self.replay = replay
        self._sizes: Ints = np.diff(judged.documents.offsets)
        self._lengths = answer_lengths(judged.documents)
        self._epochs: list[list[_Group]] = []
        self._replay_rows = 0.0 if replay is None else self._rows_of_replay(replay.share)

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run: its examples may stand in two epochs."""
        groups = [self._group(at) for at in range(index * self.groups, (index + 1) * self.groups)]
        laid = [self._answers(group) for group in groups]
        replayed = self._replayed(index)
        targets = sum(part.target_count() for part in (*laid, *replayed))
        whole = [example for group in groups for example in group.examples]
        unrelated = () if self.judged.unrelated is None else self._unrelated(self.judged.unrelated[whole])
        scale = targets / len(whole)
        examples = [
            self._examples(group, answers, step=index, scale=scale, unrelated=() if at else unrelated)
            for at, (group, answers) in enumerate(zip(groups, laid, strict=True))
        ]
        parts = (*examples, *(self._counted(part, replayed, targets) for part in replayed))
        return StepBatch(**_tensors(join(parts)), parts=parts)

    def steps_of_epoch(self) -> float:
        """How many steps the first epoch has."""
        return len(self._epoch(0)) / self.groups

    def epochs_at(self, index: int) -> float:
        """How many epochs have been seen before batch `index`."""
        epoch, at = self._locate(index * self.groups)
        return epoch + at / len(self._epoch(epoch))

    def _group(self, at: int) -> _Group:
        epoch, at = self._locate(at)
        return self._epoch(epoch)[at]

    def _locate(self, at: int) -> tuple[int, int]:
        """The epoch of the run's micro-batch `at`, and its place there."""
        epoch = 0
        while at >= len(self._epoch(epoch)):
            at, epoch = at - len(self._epoch(epoch)), epoch + 1
        return epoch, at

    def _epoch(self, epoch: int) -> list[_Group]:
        while len(self._epochs) <= epoch:
            order = np.random.default_rng([self.seed, len(self._epochs)]).permutation(len(self.judged)).tolist()
            needs = [self._sizes[members].tolist() for members in self.judged.members]
            self._epochs.append(_pack(order, needs, rows=self.micro_rows, context=self.context))
        return self._epochs[epoch]

    def _answers(self, group: _Group) -> Answers:
        documents = [self.judged.members[example, member] for example, member in group.order]
        return self._lay_out(np.asarray(documents), group.first)

    def _lay_out(self, documents: Ints, first: Sequence[int]) -> Answers:
        pieces = Pieces(
            document=documents,
            start=np.zeros(len(documents), dtype=np.int64),
            length=self._sizes[documents],
            first=np.asarray(first),
        )
        batch = lay_out(pieces, range(self.micro_rows), self.judged.documents, context=self.context, isolate=True)
        return Answers(
            **_tensors(batch),
            lengths=tuple(self._lengths[documents].tolist()),
            reference=self.reference.gather(documents.tolist()),
        )

    def _examples(
        self, group: _Group, answers: Answers, *, step: int, scale: float, unrelated: tuple[Answers, ...]
    ) -> Examples:
        place = {key: at for at, key in enumerate(group.order)}
        members = range(self.judged.members.shape[1])
        places = [[place[example, member] for member in members] for example in group.examples]
        desirable = self.judged.desirable
        return Examples(
            **_tensors(answers),
            lengths=answers.lengths,
            reference=answers.reference,
            places=torch.tensor(places),
            weights=torch.from_numpy(self.judged.weights[group.examples]),
            step=step,
            scale=scale,
            desirable=None if desirable is None else torch.from_numpy(desirable[group.examples]),
            unrelated=unrelated,
        )

    def _unrelated(self, documents: Ints) -> tuple[Answers, ...]:
        needs = [[int(self._sizes[d])] for d in documents]
        groups = _pack(range(len(documents)), needs, rows=self.micro_rows, context=self.context)
        return tuple(self._lay_out(documents[[at for at, _ in group.order]], group.first) for group in groups)

    def _rows_of_replay(self, share: float) -> float:
        tokens = int(self._sizes[self.judged.members].sum()) / self.steps_of_epoch()  # of examples, in a step
        return share / (1.0 - share) * tokens / self.context

    def _replayed(self, index: int) -> list[Batch]:
        """Micro-batches of whole rows of text, so many that their share holds over the steps so far."""
        if self.replay is None:
            return []
        wanted = range(int(index * self._replay_rows), int((index + 1) * self._replay_rows))
        single = [self.replay.source.batch(row) for row in wanted]
        return [join(single[top : top + self.micro_rows]) for top in range(0, len(single), self.micro_rows)]

    def _counted(self, part: Batch, replayed: Sequence[Batch], targets: int) -> Batch:
        assert self.replay is not None
        taught = sum(one.target_count() for one in replayed)
        counts = torch.full(part.targets.shape, self.replay.weight * targets / max(1, taught))
        return replace(part, counts=counts)


@dataclass(frozen=True)
class _Group:
    """Examples of a micro-batch. order: (example, member) of each answer as they stand in the rows; first: (B + 1,),
    a row's answers."""

    examples: list[int]
    order: list[tuple[int, int]]
    first: list[int]


def _pack(order: Sequence[int], needs: Sequence[Sequence[int]], *, rows: int, context: int) -> list[_Group]:
    """Fill micro-batches with whole examples: the next in order first, then what of the next ones still fits."""
    waiting, groups = list(order), []
    while waiting:
        filled: list[list[tuple[int, int]]] = [[] for _ in range(rows)]
        free = [context] * rows
        taken = [at for at, example in enumerate(waiting[:LOOK_AHEAD]) if _place(example, needs[example], filled, free)]
        if not taken or taken[0]:
            told = " and ".join(map(str, needs[waiting[0]]))
            raise ValueError(
                f"answers of {told} tokens do not fit {rows} row(s) of {context}: raise micro_batch_tokens"
            )
        examples = [waiting[at] for at in taken]
        gone = set(taken)
        waiting = [example for at, example in enumerate(waiting) if at not in gone]
        first = np.cumsum([0, *map(len, filled)]).tolist()
        groups.append(_Group(examples, [key for row in filled for key in row], first))
    return groups


def _place(example: int, needs: Sequence[int], filled: list[list[tuple[int, int]]], free: list[int]) -> bool:
    """Put an example's answers, the longest first, where the least is left over; all of them or none."""
    left = list(free)
    chosen: list[tuple[int, int]] = []  # (row, member)
    for member in sorted(range(len(needs)), key=lambda m: -needs[m]):
        fits = [(left[row], row) for row in range(len(left)) if left[row] >= needs[member]]
        if not fits:
            return False
        row = min(fits)[1]
        left[row] -= needs[member]
        chosen.append((row, member))
    for row, member in chosen:
        filled[row].append((example, member))
    free[:] = left
    return True


def _tensors(batch: Batch) -> dict[str, Any]:
    return {own.name: getattr(batch, own.name) for own in fields(Batch)}
