"""Log-probabilities of answers after their prompts, of conversations that stand side by side in rows and do not see
each other.

Letters: B rows of a batch, T positions, N targets (the answers' tokens), S answers, C channels, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from model.batches import Batch, Pieces, lay_out, pack_items
from model.decoder import Decoder
from model.documents import IGNORE, Documents, Ints
from model.gradients import LOSS_ROWS

ROW_TOKENS = 4_096  # positions of one forward pass that keeps nothing for a backward one


class _TokenLogProbs(Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        found = torch.empty(len(targets), dtype=weight.dtype, device=weight.device)
        norms = torch.empty_like(found)
        for start in range(0, len(targets), LOSS_ROWS):
            part = slice(start, start + LOSS_ROWS)
            logits = torch.mm(hidden[part].to(weight.dtype), weight.t())  # (N, V)
            norms[part] = torch.logsumexp(logits, dim=-1)
            found[part] = logits.gather(1, targets[part].unsqueeze(1)).squeeze(1) - norms[part]
        ctx.save_for_backward(hidden, weight, targets, norms)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden, weight, targets, norms = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None  # None: frozen
        for start in range(0, len(targets), LOSS_ROWS):
            part = slice(start, start + LOSS_ROWS)
            own = hidden[part].to(weight.dtype)
            upstream = grad[part].unsqueeze(1)  # (N, 1)
            logits = torch.mm(own, weight.t()).sub_(norms[part].unsqueeze(1))
            each = logits.exp_().mul_(-upstream).scatter_add_(1, targets[part].unsqueeze(1), upstream)  # (N, V)
            grad_hidden[part] = torch.mm(each, weight).to(hidden.dtype)
            if grad_weight is not None:
                grad_weight += torch.mm(each.t(), own)
        return grad_hidden, grad_weight, None


def token_log_probs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Log-probability of each target under softmax(hidden weight^T), in nats, with its gradient.

    hidden: (N, C); weight: (V, C); targets: (N,), int64. Returns (N,) in weight's dtype: a sum over an answer needs
    more digits than bfloat16 has. No more than `LOSS_ROWS` tokens' logits exist at once; they are made again on the
    way back.
    """
    return cast(Tensor, _TokenLogProbs.apply(hidden, weight, targets))  # type: ignore[no-untyped-call]


def answer_log_probs(model: Decoder, batch: Batch) -> Tensor:
    """Log-probability of each target of a batch, in nats, row by row: (N,), float32."""
    hidden = model.hidden(batch.inputs, positions=batch.positions, documents=batch.documents)  # (B, T, C)
    taught = batch.targets != IGNORE
    return token_log_probs(hidden[taught], model.output_weight(), batch.targets[taught])


def answer_sums(values: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sums over answers. values: (N,), the answers' tokens one after the other; lengths: tokens of each. (S,)."""
    return torch.stack([part.sum() for part in torch.split(values, list(lengths))])


def answer_lengths(documents: Documents) -> Ints:
    """Targets of each document: (D,)."""
    ends = np.append(0, np.cumsum(_taught(documents), dtype=np.int64))
    lengths: Ints = ends[documents.offsets[1:]] - ends[documents.offsets[:-1]]
    return lengths


@torch.no_grad()
def document_log_probs(model: Decoder, documents: Documents, chosen: Sequence[int]) -> Tensor:
    """Log-probability of each target of some documents, in nats, in the order given: (N,), float32, on the CPU.

    Raises ValueError for a document longer than the context.
    """
    context, sizes = model.config.context, np.diff(documents.offsets)
    if (long := next((d for d in chosen if sizes[d] > context), None)) is not None:
        raise ValueError(f"document {long} of {sizes[long]} tokens is above the context of {context}")
    lengths = answer_lengths(documents)[list(chosen)]
    starts = np.append(0, np.cumsum(lengths))
    pieces = pack_items(((place, 0, int(sizes[d])) for place, d in enumerate(chosen)), context=context)
    laid = replace(pieces, document=np.asarray(chosen, dtype=np.int64)[pieces.document])
    found = torch.zeros(int(starts[-1]))
    for rows in _portions(pieces, max(1, ROW_TOKENS // context)):
        batch = lay_out(laid, rows, documents, context=context, isolate=True).to(model.device)
        order = pieces.document[pieces.first[rows.start] : pieces.first[rows.stop]].tolist()
        values = answer_log_probs(model, batch).cpu()
        for place, own in zip(order, torch.split(values, lengths[order].tolist()), strict=True):
            found[starts[place] : starts[place + 1]] = own
    return found


def _portions(pieces: Pieces, rows: int) -> Iterator[range]:
    return (range(top, min(top + rows, pieces.rows)) for top in range(0, pieces.rows, rows))


def _taught(documents: Documents) -> Any:
    return np.ones(len(documents.tokens), dtype=np.bool_) if documents.taught is None else documents.taught
