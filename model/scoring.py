"""How probable a model finds texts: bits per token, per document, per byte."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from model.batches import Pieces, lay_out, pack_items
from model.decoder import Cache, Decoder
from model.documents import IGNORE, Documents, Ints

Floats = npt.NDArray[np.float64]

ROW_TOKENS = 4_096  # tokens in one forward pass: 4,096 x 4,096 logits in float32 are 64 MiB


@torch.no_grad()
def token_bits(model: Decoder, documents: Sequence[Sequence[int] | Ints]) -> list[Floats]:
    """Bits that each token costs, given the tokens before it in its document and an end token in front.

    documents: token ids, the end token last where it is to be counted. Documents stand side by side in rows and do not
    see each other; one longer than the context is scored in windows that overlap by half, each token in the window
    where it has most before it. Returns one float64 array a document, of its length.
    """
    table = _table(documents, end_id=model.config.end_id)
    context = model.config.context
    pieces = pack_items(_windows(table, context), context=context)
    bits = [np.zeros(len(table.document(d)), dtype=np.float64) for d in range(len(table))]
    rows_at_once = max(1, ROW_TOKENS // context)
    for top in range(0, pieces.rows, rows_at_once):
        rows = range(top, min(top + rows_at_once, pieces.rows))
        batch = lay_out(pieces, rows, table, context=context, isolate=True).to(model.device)
        hidden = model.hidden(batch.inputs, positions=batch.positions, documents=batch.documents)
        costs = negative_log2(model.logits(hidden), batch.targets)
        for at, row in enumerate(rows):
            _collect(bits, costs[at], pieces, row, context)
    return bits


def document_bits(model: Decoder, documents: Sequence[Sequence[int] | Ints]) -> Floats:
    """Bits of whole documents, see `token_bits`. Returns (documents,), float64."""
    return np.array([bits.sum() for bits in token_bits(model, documents)], dtype=np.float64)


@torch.inference_mode()
def continuation_bits(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
    *,
    batch: int = 32,
) -> list[list[Floats]]:
    """Bits that each token of some continuations costs after their prompt, which is computed once for all of them.

    prompts: token ids; an end token is put in front, as in `token_bits`, to which the figures are equal. continuations:
    of each prompt its candidates, such as the labels of a classification. batch: rows in one forward pass.
    Returns one float64 array a candidate, of its length. Raises ValueError where the two lists do not match and where
    prompt and candidate together are longer than the context.
    """
    _check_lengths(prompts, continuations, context=model.config.context)
    if batch < 1:
        raise ValueError(f"batch={batch} is below 1")
    bits = [[np.zeros(len(ids), dtype=np.float64) for ids in candidates] for candidates in continuations]
    order = sorted((at for at in range(len(prompts)) if continuations[at]), key=lambda at: len(prompts[at]))
    for top in range(0, len(order), batch):
        chosen = order[top : top + batch]
        cache, logits = _read_prompts(model, [prompts[at] for at in chosen])
        pairs = [
            _Pair(row, list(ids), bits[at][number])
            for row, at in enumerate(chosen)
            for number, ids in enumerate(continuations[at])
            if len(ids)
        ]
        _score_pairs(model, sorted(pairs, key=lambda pair: len(pair.ids)), cache, logits, batch)
    return bits


def bits_per_byte(model: Decoder, documents: Documents, *, limit: int | None = None) -> float:
    """Bits of all documents (or of the first `limit`), end tokens included, over the UTF-8 bytes of their texts.

    Raises ValueError where there is no text.
    """
    count = len(documents) if limit is None else min(limit, len(documents))
    size = int(documents.bytes[:count].sum())
    if not size:
        raise ValueError(f"{count} documents of {size} bytes: nothing to score")
    bits = document_bits(model, [documents.document(index) for index in range(count)])
    return float(bits.sum() / size)


def answer_nats(
    model: Decoder, documents: Documents, *, limit: int | None = None, tasks: Collection[int] | None = None
) -> float:
    """Mean nats of the taught tokens of all conversations, or of `limit` evenly spread ones.

    tasks: indices of the tasks that are looked at, None: all. Raises ValueError where there is nothing to score.
    """
    places = np.arange(len(documents))
    if tasks is not None and documents.tasks is not None:
        places = np.flatnonzero(np.isin(documents.tasks, list(tasks)))
    count = len(places) if limit is None else min(limit, len(places))
    chosen = places[np.linspace(0, len(places), count, endpoint=False).astype(np.int64)].tolist()
    bits = token_bits(model, [documents.document(index) for index in chosen])
    taught = [documents.targets(index) != IGNORE for index in chosen]
    tokens = sum(int(mask.sum()) for mask in taught)
    if not tokens:
        raise ValueError(f"{count} conversations with {tokens} taught tokens: nothing to score")
    return float(sum(float(b[mask].sum()) for b, mask in zip(bits, taught, strict=True)) / tokens * np.log(2.0))


def negative_log2(logits: Tensor, targets: Tensor) -> Floats:
    """-log2 of the targets' probabilities; zero where a target is ignored. logits: (B, T, V). Returns (B, T)."""
    nats = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    values: Floats = nats.view_as(targets).double().cpu().numpy() / np.log(2.0)
    return values


def _table(documents: Sequence[Sequence[int] | Ints], *, end_id: int) -> Documents:
    arrays = [np.asarray(document, dtype=np.int64) for document in documents]
    offsets = np.cumsum([0, *(len(array) for array in arrays)])
    tokens = np.concatenate(arrays).astype(np.uint32) if arrays else np.zeros(0, dtype=np.uint32)
    nothing = np.zeros(len(arrays))
    return Documents(tokens, offsets, nothing.astype(np.float32), nothing.astype(np.int64), end_id)


def _windows(documents: Documents, context: int) -> Iterator[tuple[int, int, int]]:
    stride = max(1, context // 2)
    for index, length in enumerate(np.diff(documents.offsets).tolist()):
        start = 0
        while length:
            yield index, start, min(context, length - start)
            if start + context >= length:
                break
            start += stride


def _collect(bits: list[Floats], costs: Floats, pieces: Pieces, row: int, context: int) -> None:
    column = 0
    for piece in range(pieces.first[row], pieces.first[row + 1]):
        start, length = int(pieces.start[piece]), int(pieces.length[piece])
        repeated = min(length, context - max(1, context // 2)) if start else 0  # scored by the window before
        document = bits[int(pieces.document[piece])]
        document[start + repeated : start + length] = costs[column + repeated : column + length]
        column += length


@dataclass(frozen=True)
class _Pair:
    """A candidate, the row of its prompt in the batch, and where its bits go."""

    row: int
    ids: list[int]
    bits: Floats


def _check_lengths(
    prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]], *, context: int
) -> None:
    if len(prompts) != len(continuations):
        raise ValueError(f"{len(prompts)} prompts need as many lists of continuations, not {len(continuations)}")
    for at, (prompt, candidates) in enumerate(zip(prompts, continuations, strict=True)):
        longest = max(map(len, candidates), default=0)
        if longest and len(prompt) + longest > context:
            raise ValueError(
                f"prompt {at} of {len(prompt)} tokens and its continuation of {longest} are more than the context of "
                f"{context}"
            )


def _read_prompts(model: Decoder, prompts: Sequence[Sequence[int]]) -> tuple[Cache, Tensor]:
    """A cache of the prompts, padded on the left, and the logits after them: (B, V)."""
    end = model.config.end_id
    width = 1 + max(map(len, prompts))
    starts = [width - 1 - len(prompt) for prompt in prompts]
    ids = [[end] * (start + 1) + list(prompt) for start, prompt in zip(starts, prompts, strict=True)]
    cache = model.new_cache(rows=len(ids), capacity=width, starts=torch.tensor(starts, device=model.device))
    return cache, model.step(torch.tensor(ids, device=model.device), cache)


def _score_pairs(model: Decoder, pairs: Sequence[_Pair], cache: Cache, logits: Tensor, batch: int) -> None:
    """Fill in the bits of pairs that come sorted by length."""
    top = 0
    while top < len(pairs):
        rows = min(batch, len(pairs) - top)
        rows = max(1, min(rows, ROW_TOKENS // len(pairs[top + rows - 1].ids)))  # so many logits exist at once
        part = pairs[top : top + rows]
        top += rows
        width = len(part[-1].ids)
        targets = torch.tensor([pair.ids + [IGNORE] * (width - len(pair.ids)) for pair in part], device=model.device)
        places = torch.tensor([pair.row for pair in part], device=model.device)
        after = logits[places][:, None]  # (B, 1, V)
        if width > 1:
            prompts = cache.select(places, capacity=cache.length + width - 1)
            after = torch.cat((after, model.logits(model.advance(targets[:, :-1].clamp(min=0), prompts))), dim=1)
        for pair, costs in zip(part, negative_log2(after, targets), strict=True):
            pair.bits[:] = costs[: len(pair.ids)]
