"""Text out of a model: cached decoding, several prompts at once, each with its own randomness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.decoder import Cache, Decoder


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the next token is drawn.

    temperature 0 takes the most probable token; top_p and top_k cut the tail (1.0 and 0: nothing is cut);
    repetition_penalty above 1 makes tokens that are already there less probable (arXiv:1909.05858).
    """

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens={self.max_tokens} is below 1")
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0 or self.repetition_penalty <= 0:
            raise ValueError(
                f"temperature={self.temperature} must be at least 0, top_p={self.top_p} above 0 and at most 1, "
                f"top_k={self.top_k} at least 0, repetition_penalty={self.repetition_penalty} above 0"
            )


@torch.no_grad()
def generate(
    model: Decoder, prompts: Sequence[Sequence[int]], *, decoding: Decoding, seeds: Sequence[int]
) -> list[list[int]]:
    """Continue prompts until the end token or max_tokens, all at once.

    prompts: token ids; an end token is put in front, as a document starts in training. seeds: one a prompt.
    Where prompt and continuation outgrow the context, the model goes on from the last half context.
    Returns the new ids of each prompt, without the end token.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
    if not prompts:
        return []
    end = model.config.end_id
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rows = [[end, *prompt] for prompt in prompts]
    lengths = [len(row) for row in rows]
    alive = set(range(len(rows)))
    cache: Cache | None = None
    logits = torch.empty(0)
    for _ in range(decoding.max_tokens):
        if cache is None or cache.length >= model.config.context:
            cache, logits = _prefill(model, rows)
        else:
            newest = torch.tensor([[row[-1]] for row in rows], device=model.device)  # (B, 1)
            logits = model.step(newest, cache)
        for at, row in enumerate(rows):
            token = draw(logits[at], row, decoding, generators[at]) if at in alive else end
            row.append(token)
            if token == end:
                alive.discard(at)
        if not alive:
            break
    return [_until_end(row[length:], end) for row, length in zip(rows, lengths, strict=True)]


def draw(logits: Tensor, seen: Sequence[int], decoding: Decoding, generator: torch.Generator) -> int:
    """One token. logits: (V,), float32; seen: the ids so far."""
    scores = logits.cpu().clone()
    if decoding.repetition_penalty != 1.0:
        ids = torch.tensor(sorted(set(seen)))
        known = scores[ids]
        scores[ids] = torch.where(known > 0, known / decoding.repetition_penalty, known * decoding.repetition_penalty)
    if decoding.temperature == 0:
        return int(scores.argmax())
    scores = scores / decoding.temperature
    if 0 < decoding.top_k < len(scores):
        scores = scores.masked_fill(scores < scores.topk(decoding.top_k).values[-1], float("-inf"))
    probabilities = torch.softmax(scores, dim=0)
    if decoding.top_p < 1.0:
        probabilities = _nucleus(probabilities, decoding.top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the most probable tokens that hold top_p together (arXiv:1904.09751)."""
    ordered, ids = probabilities.sort(descending=True, stable=True)
    before = ordered.cumsum(0) - ordered
    return torch.zeros_like(probabilities).scatter(0, ids, ordered.where(before < top_p, torch.zeros(())))


def _prefill(model: Decoder, rows: list[list[int]]) -> tuple[Cache, Tensor]:
    context = model.config.context
    kept = [row if len(row) < context else row[-max(1, context // 2) :] for row in rows]
    width = max(len(row) for row in kept)
    ids = torch.full((len(kept), width), model.config.end_id, device=model.device)
    for at, row in enumerate(kept):
        ids[at, width - len(row) :] = torch.tensor(row, device=model.device)  # padded on the left
    starts = torch.tensor([width - len(row) for row in kept], device=model.device)
    cache = model.new_cache(rows=len(kept), capacity=context, starts=starts)
    return cache, model.step(ids, cache)


def _until_end(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
