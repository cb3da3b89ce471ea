"""Forward and backward passes written by hand where autograd's own cost more memory traffic than arithmetic.

On a CPU a training step of a small model is bound by passes over memory: these take fewer than what autograd
records. torch.compile traces them like any other code.
Letters: N tokens, C channels, V vocabulary, B rows of a batch, H heads, K key and value heads, G = H / K, T positions,
D channels of a head, R rows of a block of queries, S keys they see.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

BLOCK_ROWS = 128  # rows of queries at once: their scores stay in cache, and keys after them are never multiplied
LOSS_ROWS = 2_048  # tokens whose logits exist at once: 32 MiB at a vocabulary of 4,096


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square().div(x.shape[-1]).add(eps).rsqrt()
        ctx.save_for_backward(x, weight, scale)
        return cast(Tensor, (x * scale) * weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        normed = x * scale
        product = grad * normed
        along = torch.matmul(product, weight).unsqueeze(-1).div(-x.shape[-1])  # (..., 1)
        grad_x = torch.addcmul(grad * weight, normed, along) * scale
        return grad_x, product.flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None, None


def rms_norm(x: Tensor, weight: Tensor, *, eps: float) -> Tensor:
    """RMSNorm (arXiv:1910.07467). x: (..., C), float32; weight: (C,). Returns x's shape."""
    return cast(Tensor, _RMSNorm.apply(x, weight, eps))  # type: ignore[no-untyped-call]


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat(
        (torch.addcmul(first * cos, second, sin, value=-1.0), torch.addcmul(second * cos, first, sin)), dim=-1
    )


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate channel pairs (i, i + D/2) by their position (RoPE, arXiv:2104.09864, section 3.4.2).

    x: (B, H, T, D), D even, float32; cos, sin: (B or 1, 1, T, D/2), float32. Returns x's shape.
    """
    return cast(Tensor, _Rotate.apply(x, cos, sin))  # type: ignore[no-untyped-call]


class _BlockedAttention(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        b, h, t, d = q.shape
        n_kv = k.shape[1]
        scaled = (q * d**-0.5).reshape(b * n_kv, h // n_kv, t, d)  # (B K, G, T, D)
        keys, values = k.reshape(b * n_kv, t, d), v.reshape(b * n_kv, t, d)
        outs, weights = [], []
        for start in range(0, t, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, t)
            queries = scaled[:, :, start:stop].reshape(b * n_kv, -1, d)  # (B K, G R, D)
            scores = torch.bmm(queries, keys[:, :stop].transpose(1, 2))  # (B K, G R, S)
            grouped = scores.view(b, h, stop - start, stop).add_(mask[:, None, start:stop, :stop])
            weights.append(torch.softmax(grouped, dim=-1).view_as(scores))
            outs.append(torch.bmm(weights[-1], values[:, :stop]).view(b, h, stop - start, d))
        ctx.save_for_backward(scaled, keys, values, *weights)
        ctx.heads = (h, n_kv)
        return torch.cat(outs, dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        scaled, keys, values, *weights = ctx.saved_tensors
        rows, groups, t, d = scaled.shape
        h, n_kv = ctx.heads
        b = rows // n_kv
        grad = grad.reshape(rows, groups, t, d)
        grad_k, grad_v = torch.zeros_like(keys), torch.zeros_like(values)
        grad_q = []
        for at, start in enumerate(range(0, t, BLOCK_ROWS)):
            stop = min(start + BLOCK_ROWS, t)
            g = grad[:, :, start:stop].reshape(rows, -1, d)  # (B K, G R, D)
            queries = scaled[:, :, start:stop].reshape(rows, -1, d)
            grad_v[:, :stop].baddbmm_(weights[at].transpose(1, 2), g)
            grad_weights = torch.bmm(g, values[:, :stop].transpose(1, 2))  # (B K, G R, S)
            grad_scores = torch._softmax_backward_data(grad_weights, weights[at], -1, grad_weights.dtype)
            grad_q.append(torch.bmm(grad_scores, keys[:, :stop]).view(b, h, stop - start, d))
            grad_k[:, :stop].baddbmm_(grad_scores.transpose(1, 2), queries)
        shape = (b, n_kv, t, d)
        return torch.cat(grad_q, dim=2).mul_(d**-0.5), grad_k.view(shape), grad_v.view(shape), None


def blocked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Causal attention as batched matmuls: each block of queries against the keys up to its end only.

    q: (B, H, T, D); k, v: (B, K, T, D); mask: (B or 1, T, T), 0 where a query may look and -inf where not, of q's
    dtype. Returns (B, H, T, D).
    """
    return cast(Tensor, _BlockedAttention.apply(q, k, v, mask))  # type: ignore[no-untyped-call]


class _TokenLoss(Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, ignore: int, counts: Tensor | None
    ) -> Tensor:
        cast_weight = weight.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None  # None: frozen
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, hidden.shape[0], LOSS_ROWS):
            part = slice(start, start + LOSS_ROWS)
            counted = (targets[part] != ignore).unsqueeze(1)  # (N, 1)
            if counts is not None:
                counted = counted * counts[part].unsqueeze(1)
            wanted = targets[part].clamp(min=0).unsqueeze(1)  # (N, 1)
            log_probs = torch.log_softmax(torch.mm(hidden[part], cast_weight.t()).float(), dim=-1)  # (N, V)
            total = total - log_probs.gather(1, wanted).mul(counted).sum()
            grad = log_probs.exp_().scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=torch.float32))
            grad = grad.mul_(counted).to(hidden.dtype)
            grad_hidden[part] = torch.mm(grad, cast_weight)
            if grad_weight is not None:
                grad_weight += torch.mm(grad.t(), hidden[part])
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scaled = grad_weight * grad if grad_weight is not None else None
        return grad_hidden * grad.to(grad_hidden.dtype), scaled, None, None, None


def token_loss(hidden: Tensor, weight: Tensor, targets: Tensor, *, ignore: int, counts: Tensor | None = None) -> Tensor:
    """Sum of the cross entropies of softmax(hidden weight^T) against targets, in nats; a scalar, float32.

    hidden: (N, C); weight: (V, C), float32; targets: (N,), int64, `ignore` where nothing is counted; counts: (N,),
    float32, how much each target counts, None: 1. The gradients are made on the way forward, so that no more than
    `LOSS_ROWS` tokens' logits exist at once.
    """
    return cast(Tensor, _TokenLoss.apply(hidden, weight, targets, ignore, counts))  # type: ignore[no-untyped-call]
