"""How probable a model finds texts: bits per token, per document, per byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from model.batches import Documents, Ints, Pieces, lay_out, pack_items
from model.decoder import Decoder

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
