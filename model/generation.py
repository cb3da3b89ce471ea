"""Text out of a model: cached decoding, many prompts at once, each with its own randomness.

Letters: B rows of a batch, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.decoder import Cache, Decoder

LIVE_SHARE = 0.75  # finished rows leave the batch as soon as no more than this is alive; the copy costs about a step
NUCLEUS_HEAD = 128  # tokens ordered at first in the search for a nucleus; a trained model's is mostly among them


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the next token is drawn.

    temperature 0 takes the most probable token; top_p and top_k cut the tail (1.0 and 0: nothing is cut);
    repetition_penalty above 1 makes tokens that are already there less probable (arXiv:1909.05858).
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens={self.max_tokens} is below 1")
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0 or self.repetition_penalty <= 0:
            raise ValueError(
                f"temperature={self.temperature} must be at least 0, top_p={self.top_p} above 0 and at most 1, "
                f"top_k={self.top_k} at least 0, repetition_penalty={self.repetition_penalty} above 0"
            )


@torch.inference_mode()
def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    decoding: Decoding,
    seeds: Sequence[int],
    stop: Collection[int] = (),
    batch: int = 32,
) -> list[list[int]]:
    """Continue prompts until the end token, one of `stop`, or max_tokens.

    prompts: token ids, in any order; an end token is put in front, as a document starts in training. seeds: one a
    prompt; what a prompt gives does not depend on the others. batch: prompts at once, those of like lengths together.
    Where prompt and continuation outgrow the context, the model goes on from the last half context.
    Returns the new ids of each prompt, without the token that ended it.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
    if batch < 1:
        raise ValueError(f"batch={batch} is below 1")
    end = model.config.end_id
    rows = [_Row(ids=[end, *prompt], seed=seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    by_length = sorted(rows, key=lambda row: len(row.ids))
    for top in range(0, len(rows), batch):
        _finish(model, _Rows(by_length[top : top + batch], model, decoding), decoding, ends=frozenset({end, *stop}))
    return [row.new for row in rows]


def draw(logits: Tensor, decoding: Decoding, *, chances: Tensor | None, seen: Tensor | None) -> Tensor:
    """One token a row, of all rows at once, each from its own row alone. logits: (B, V), float32.

    chances: (B, 1), float64 in [0, 1), what each row's token is picked by; not read at temperature 0. seen: (B, V),
    the ids so far; not read where repetition_penalty is 1. Returns (B,), int64.
    """
    if decoding.repetition_penalty != 1.0:
        assert seen is not None
        penalty = decoding.repetition_penalty
        logits = logits.where(~seen, torch.where(logits > 0, logits / penalty, logits * penalty))
    if decoding.temperature == 0:
        return _likeliest(logits)
    assert chances is not None
    scores = logits / decoding.temperature
    if 0 < decoding.top_k < scores.shape[1]:
        scores = scores.masked_fill(scores < scores.topk(decoding.top_k, dim=-1).values[:, -1:], float("-inf"))
    probabilities = torch.softmax(scores, dim=-1)
    if decoding.top_p < 1.0:
        probabilities = probabilities.masked_fill(probabilities < _least_inside(probabilities, decoding.top_p), 0.0)
    # in the order of the ids: one of probability, in which float noise may swap two, would move all picks between them
    mass = probabilities.cumsum(-1, dtype=torch.float64)
    picked = torch.searchsorted(mass, chances * mass[:, -1:], right=True)  # (B, 1)
    return picked[:, 0].clamp_(max=scores.shape[1] - 1)


def _likeliest(logits: Tensor) -> Tensor:
    """The first of the greatest, a row; on a CPU numpy's, which takes a tenth of the time of torch's. (B,), int64."""
    on_cpu = logits.device.type == "cpu"
    return torch.from_numpy(logits.detach().numpy().argmax(-1)) if on_cpu else logits.argmax(-1)


def _least_inside(probabilities: Tensor, top_p: float) -> Tensor:
    """The least probability among the most probable tokens that hold top_p together (arXiv:1904.09751). (B, 1)."""
    size = probabilities.shape[1]
    for count in (min(NUCLEUS_HEAD, size), size):
        ordered = probabilities.topk(count, dim=-1).values
        inside = ordered.cumsum(-1, dtype=torch.float64) - ordered < top_p  # (B, count)
        if count == size or not inside[:, -1].any():
            break
    return ordered.gather(-1, inside.sum(-1, keepdim=True) - 1)


@dataclass
class _Row:
    """A prompt and what was made of it."""

    ids: list[int]
    seed: int
    first: int = 0  # the id from which on the model still sees the row
    new: list[int] = field(default_factory=list)
    done: bool = False

    def take(self, token: int, ends: Collection[int]) -> None:
        if token in ends:
            self.done = True
        elif not self.done:
            self.ids.append(token)
            self.new.append(token)

    def window(self, context: int) -> list[int]:
        """What the model is given when it starts anew; a row is cut by its own length, whatever is beside it."""
        if len(self.ids) - self.first > context:
            self.first = len(self.ids) - max(1, context // 2)
        return self.ids[self.first :]


class _Rows:
    """The rows of a batch and what there is of each of them on the device."""

    def __init__(self, rows: list[_Row], model: Decoder, decoding: Decoding) -> None:
        self.rows = rows
        self.chances: Tensor | None = None  # (B, max_tokens), float64
        self.seen: Tensor | None = None  # (B, V)
        if decoding.temperature > 0:
            self.chances = torch.stack([chances(row.seed, decoding.max_tokens) for row in rows]).to(model.device)
        if decoding.repetition_penalty != 1.0:
            self.seen = torch.zeros(len(rows), model.config.vocabulary_size, dtype=torch.bool)
            for at, row in enumerate(rows):
                self.seen[at, row.ids] = True
            self.seen = self.seen.to(model.device)

    def draw(self, logits: Tensor, at: int, decoding: Decoding) -> Tensor:
        """The token number `at` of each row: (B, 1)."""
        chances = None if self.chances is None else self.chances[:, at : at + 1]
        drawn = draw(logits, decoding, chances=chances, seen=self.seen)[:, None]
        if self.seen is not None:
            self.seen.scatter_(1, drawn, True)
        return drawn

    def alive(self) -> list[int]:
        return [at for at, row in enumerate(self.rows) if not row.done]

    def keep(self, places: list[int], on_device: Tensor) -> None:
        self.rows = [self.rows[at] for at in places]
        self.chances = None if self.chances is None else self.chances[on_device]
        self.seen = None if self.seen is None else self.seen[on_device]


def chances(seed: int, count: int) -> Tensor:
    """What the first `count` tokens of a seed are picked by, see `draw`: (count,), float64 on the CPU."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _finish(model: Decoder, rows: _Rows, decoding: Decoding, *, ends: Collection[int]) -> None:
    """Add to each row until all are done; those that are leave the batch now and then."""
    context = model.config.context
    cache, logits = _prefill(model, rows.rows, room=decoding.max_tokens)
    for at in range(decoding.max_tokens):
        drawn = rows.draw(logits, at, decoding)
        for row, token in zip(rows.rows, drawn[:, 0].tolist(), strict=True):
            row.take(token, ends)
        alive, left = rows.alive(), decoding.max_tokens - at - 1
        if not alive or not left:
            return
        full = cache.length >= context
        if len(alive) < len(rows.rows) and (full or len(alive) <= LIVE_SHARE * len(rows.rows)):
            places = torch.tensor(alive, device=model.device)
            rows.keep(alive, places)
            drawn = drawn[places]
            cache = cache if full else cache.select(places, capacity=min(context, cache.length + left))
        if full:
            cache, logits = _prefill(model, rows.rows, room=left)
        else:
            logits = model.step(drawn, cache)


def _prefill(model: Decoder, rows: Sequence[_Row], *, room: int) -> tuple[Cache, Tensor]:
    """A cache of the rows, padded on the left, with place for `room` more tokens, and the logits after it: (B, V)."""
    windows = [row.window(model.config.context) for row in rows]
    width = max(map(len, windows))
    padded = [[model.config.end_id] * (width - len(window)) + window for window in windows]
    starts = torch.tensor([width - len(window) for window in windows], device=model.device)
    cache = model.new_cache(rows=len(rows), capacity=min(model.config.context, width + room), starts=starts)
    return cache, model.step(torch.tensor(padded, device=model.device), cache)
