"""Slots that are continued together: who joins, who leaves, which token each draws; one token a step for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from model.engine import Continuation, Step
from model.generation import Decoding, chances, draw

PREFILL_TOKENS = 1_024  # of prompts read in one step: more would keep those who are being answered waiting


@dataclass(eq=False)
class _Row:
    """A slot in use. ids: with the end token in front, the last not in the cache yet. way: how its tokens are drawn."""

    slot: int
    asked: Continuation
    ids: list[int]
    chances: list[float]
    seen: Tensor | None  # (V,), the ids so far, where they are made less probable
    prompt: int = field(init=False)
    way: Decoding = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = len(self.ids)
        self.way = replace(self.asked.decoding, max_tokens=1)

    @property
    def drawn(self) -> int:
        """Tokens so far."""
        return len(self.ids) - self.prompt


class Places(Protocol):
    """What reads tokens for the rows: keys and values, live rows in the first places. See `StaticCache`."""

    def move(self, place: int, to: int, *, length: int) -> None:
        """Have the row of one place in another's."""

    def fill(self, prompts: Sequence[Sequence[int]], *, first: int) -> Tensor:
        """Read prompts into the places from `first` on. Returns the logits after each: (B, V), float32."""

    def advance(self, ids: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Append one id to each of the first rows, which hold `lengths` positions. Returns the logits: (B, V)."""


class SlotEngine:
    """See `model.engine.Engine`; whatever computes the logits.

    end: the id in front of each prompt, which ends a text too. threads: of torch, for the steps; None: as they are.
    """

    name: str

    def __init__(
        self, places: Places, *, slots: int, context: int, vocabulary: int, end: int, threads: int | None
    ) -> None:
        self.slots = slots
        self.context = context
        self.threads = threads
        self._end = end
        self._vocabulary = vocabulary
        self._cache: Places | None = places
        self._free = list(range(slots))
        self._waiting: list[_Row] = []  # joined, not read yet
        self._live: list[_Row] = []  # in the order of their places in the cache

    def join(self, asked: Continuation) -> int:
        """See `Engine.join`. Several that join before a step are read together; a long queue of them in turns."""
        if len(asked.prompt) + asked.decoding.max_tokens > self.context:
            raise ValueError(
                f"a prompt of {len(asked.prompt)} tokens and max_tokens={asked.decoding.max_tokens} are more than "
                f"the context of {self.context}"
            )
        if not self._free:
            raise ValueError(f"all {self.slots} slots are taken")
        slot = self._free.pop(0)
        self._waiting.append(self._row(slot, asked))
        return slot

    @torch.inference_mode()
    def step(self) -> list[Step]:
        """See `Engine.step`."""
        if self.threads is not None and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)  # of the calling thread
        new = self._admitted()
        if not self._live and not new:
            return []
        assert self._cache is not None, "the engine is closed"
        logits = []
        if self._live:
            ids, lengths = [row.ids[-1] for row in self._live], [len(row.ids) - 1 for row in self._live]
            logits.append(self._cache.advance(ids, lengths))
        if new:
            logits.append(self._cache.fill([row.ids for row in new], first=len(self._live)))
        self._live += new
        tokens = self._draw(logits[0] if len(logits) == 1 else torch.cat(logits))
        steps = [self._take(row, token) for row, token in zip(self._live, tokens, strict=True)]
        for ended in [step for step in steps if step.finished]:
            self.leave(ended.slot)
        return steps

    def leave(self, slot: int) -> None:
        """See `Engine.leave`. The last row moves into the place that is free: no other is copied."""
        self._waiting = [row for row in self._waiting if row.slot != slot]
        place = next((at for at, row in enumerate(self._live) if row.slot == slot), None)
        if place is not None:
            last = self._live.pop()
            if place < len(self._live) and self._cache is not None:
                self._cache.move(len(self._live), place, length=len(last.ids))
                self._live[place] = last
        if slot not in self._free:
            self._free.append(slot)

    def close(self) -> None:
        """See `Engine.close`."""
        self._live, self._waiting, self._free = [], [], []
        self._cache = None

    def _row(self, slot: int, asked: Continuation) -> _Row:
        ids, decoding, seen = [self._end, *asked.prompt], asked.decoding, None
        if decoding.repetition_penalty != 1.0:
            seen = torch.zeros(self._vocabulary, dtype=torch.bool)
            seen[ids] = True
        drawn_by = chances(asked.seed, decoding.max_tokens).tolist() if decoding.temperature > 0 else []
        return _Row(slot=slot, asked=asked, ids=ids, chances=drawn_by, seen=seen)

    def _admitted(self) -> list[_Row]:
        """The rows whose prompts this step reads, taken from those who wait; at least one."""
        width, count = 0, 0
        for row in self._waiting:
            width = max(width, len(row.ids))
            if count and width * (count + 1) > PREFILL_TOKENS:
                break
            count += 1
        new, self._waiting = self._waiting[:count], self._waiting[count:]
        return new

    def _draw(self, logits: Tensor) -> list[int]:
        """A token for each live row; those of one way of drawing together. logits: (B, V)."""
        ways: dict[Decoding, list[int]] = {}
        for at, row in enumerate(self._live):
            ways.setdefault(row.way, []).append(at)
        tokens = [0] * len(self._live)
        for way, places in ways.items():
            part = logits if len(ways) == 1 else logits[places]
            drawn = _drawn(part, way, [self._live[at] for at in places])
            for at, token in zip(places, drawn, strict=True):
                tokens[at] = token
        return tokens

    def _take(self, row: _Row, token: int) -> Step:
        if token == self._end or token in row.asked.stop:
            return Step(row.slot, None, "stop")
        row.ids.append(token)
        if row.seen is not None:
            row.seen[token] = True
        return Step(row.slot, token, "length" if row.drawn == row.asked.decoding.max_tokens else None)


def _drawn(logits: Tensor, way: Decoding, rows: Sequence[_Row]) -> list[int]:
    picks = seen = None
    if way.temperature > 0:
        picks = torch.tensor([[row.chances[row.drawn]] for row in rows], dtype=torch.float64, device=logits.device)
    if way.repetition_penalty != 1.0:
        seen = torch.stack([row.seen for row in rows if row.seen is not None]).to(logits.device)
    return draw(logits, way, chances=picks, seen=seen).tolist()
