"""A decoder's weights laid out for decoding: as few operations a token as eager torch allows.

A step of a small model is bound by the count of its operations, so that matrices that read the same input are one,
residuals are added by the matrix product, and the channels of a head lie in pairs, which a rotation turns as complex
numbers in one operation.
Letters: B rows of a batch, T positions, C channels of the model, H heads, K key and value heads, D channels of a head,
F channels of the feed-forward part, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import rotation
from model.config import Activation, ModelConfig
from model.decoder import Block, Decoder, Linear, Norm, sinusoids

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # layer, q, k, v to what is attended, all (B, T, heads, D)


@dataclass(frozen=True)
class PackedRMSNorm:
    """RMSNorm. weight: (heads, D), or None where it is in the matrix behind the norm; eps: of no dimensions."""

    weight: Tensor | None
    eps: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x: (..., C) or (..., heads, D). Returns float32 of the same shape."""
        x = x.float()
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        normed = x * torch.addcmul(self.eps, length, length, value=1 / x.shape[-1]).rsqrt_()
        return normed if self.weight is None else normed.mul_(self.weight)


@dataclass(frozen=True)
class PackedLayerNorm:
    """LayerNorm. weight, bias: (C,), or (heads, D) over the channels of heads."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """x: (..., C) or (..., heads, D). Returns float32 of the same shape."""
        return torch.addcmul(self.bias, F.layer_norm(x.float(), x.shape[-1:], eps=self.eps), self.weight)


PackedNorm = PackedRMSNorm | PackedLayerNorm


@dataclass(frozen=True)
class PackedLayer:
    """One block. Matrices are (in, out), in the dtype they are multiplied in."""

    attention_norm: PackedNorm
    qkv: Tensor  # (C, (H + 2 K) D)
    heads_norm: PackedNorm | None  # of queries and keys: (H + K, D)
    out: Tensor  # (H D, C)
    feed_norm: PackedNorm
    feed_in: Tensor  # (C, F), or (C, 2 F) with the gate in front
    feed_out: Tensor  # (F, C)


class PackedDecoder:
    """What `Decoder` computes, for inference alone: equal to it but for rounding.

    Raises ValueError for a model whose matrices are not plain ones (an adapter that was not merged).
    """

    def __init__(self, model: Decoder) -> None:
        config = model.config
        self.config = config
        self.dtype = model.dtype
        self.device = model.device
        self.embeddings = model.model.embed_tokens.weight.detach()
        self.layers = [_layer(cast(Block, block), config, model.dtype) for block in model.model.layers]
        self.norm, head = _before(model.model.norm, model.output_weight())
        self.head = _packed(*head, dtype=model.dtype)  # (C, V)
        every = torch.arange(config.context, device=model.device)
        self.places = _place_table(model, every)  # (context, C), or None where positions are not in the embedding
        self.turns = _turn_table(config, every)  # (context, D/2), complex64, or None where positions are not rotary

    def hidden(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """The stream before the last norm. ids, positions: (B, T). Returns (B, T, C), float32."""
        x = F.embedding(ids, self.embeddings)
        if self.places is not None:
            x = x + F.embedding(positions, self.places)
        turns = None if self.turns is None else self.turns[positions][:, :, None]  # (B, T, 1, D/2)
        x = x.view(-1, self.config.d_model)  # (B T, C)
        for at, layer in enumerate(self.layers):
            x = self._attended(x, at, layer, turns, ids.shape, attend)
            x = self._fed(x, layer)
        return x.view(*ids.shape, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Of `hidden`'s stream: (B, C) to (B, V), float32."""
        return torch.mm(self.norm(hidden).to(self.dtype), self.head).float()

    def _attended(
        self, x: Tensor, at: int, layer: PackedLayer, turns: Tensor | None, shape: torch.Size, attend: Attend
    ) -> Tensor:
        h, k, d = self.config.n_heads, self.config.n_kv_heads, self.config.d_head
        heads = torch.mm(layer.attention_norm(x).to(self.dtype), layer.qkv).view(*shape, -1, d)  # (B, T, H + 2 K, D)
        turned, values = heads[:, :, : h + k], heads[:, :, h + k :]
        if layer.heads_norm is not None:
            turned = layer.heads_norm(turned)
        if turns is not None:
            turned = _turn(turned, turns)
        turned = turned.to(self.dtype)
        attended = attend(at, turned[:, :, :h], turned[:, :, h:], values)  # (B, T, H, D)
        return _added(x, attended.reshape(-1, h * d), layer.out)

    def _fed(self, x: Tensor, layer: PackedLayer) -> Tensor:
        wide = torch.mm(layer.feed_norm(x).to(self.dtype), layer.feed_in)
        return _added(x, _activated(wide, self.config.activation), layer.feed_out)


def _turn(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate the channel pairs of x, (B, T, heads, D), by complex numbers, (B, T, 1, D/2). Float32."""
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


def _added(x: Tensor, h: Tensor, matrix: Tensor) -> Tensor:
    """x + h @ matrix in float32, whatever h and the matrix are in."""
    return torch.addmm(x, h, matrix) if matrix.dtype == x.dtype else x + torch.mm(h, matrix)


def _activated(wide: Tensor, activation: Activation) -> Tensor:
    """(B T, F or 2 F) to (B T, F)."""
    if activation in ("swiglu", "geglu"):
        gate, up = wide.chunk(2, dim=-1)
        return (F.silu(gate) if activation == "swiglu" else F.gelu(gate)).mul_(up)
    if activation == "gelu":
        return F.gelu(wide)
    hidden = F.relu(wide)
    return hidden.square() if activation == "squared_relu" else hidden


def _layer(block: Block, config: ModelConfig, dtype: torch.dtype) -> PackedLayer:
    attention, feed = block.self_attn, block.mlp
    order = _pairs(config.d_head) if config.positions == "rope" else slice(None)
    paired = [
        _weight(part).view(-1, config.d_head, config.d_model)[:, order].flatten(0, 1)
        for part in (attention.q_proj, attention.k_proj)
    ]
    inner = [feed.up_proj] if feed.gate_proj is None else [feed.gate_proj, feed.up_proj]
    attention_norm, qkv = _before(block.input_layernorm, *paired, _weight(attention.v_proj))
    feed_norm, feed_in = _before(block.post_attention_layernorm, *map(_weight, inner))
    return PackedLayer(
        attention_norm=attention_norm,
        qkv=_packed(*qkv, dtype=dtype),
        heads_norm=_heads_norm(attention.q_norm, attention.k_norm, config, order),
        out=_packed(_weight(attention.o_proj), dtype=dtype),
        feed_norm=feed_norm,
        feed_in=_packed(*feed_in, dtype=dtype),
        feed_out=_packed(_weight(feed.down_proj), dtype=dtype),
    )


def _weight(part: nn.Module) -> Tensor:
    if type(part) is not Linear:
        raise ValueError(f"an engine takes plain matrices, not {type(part).__name__}: merge the adapter first")
    return part.weight


def _packed(*matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrices of (out, in) as one of (in, out) in memory: with one row of input twice as quick as the other way."""
    return torch.cat([matrix.detach() for matrix in matrices]).to(dtype).t().contiguous()


def _before(norm: Norm, *matrices: Tensor) -> tuple[PackedNorm, list[Tensor]]:
    """A norm and the matrices, (out, in), that read it; the weight of an RMSNorm goes into them."""
    weight = norm.weight.detach()
    if norm.bias is not None:
        return PackedLayerNorm(weight, norm.bias.detach(), norm.eps), list(matrices)
    return PackedRMSNorm(None, weight.new_tensor(norm.eps)), [matrix.detach() * weight for matrix in matrices]


def _heads_norm(q: Norm | None, k: Norm | None, config: ModelConfig, order: Tensor | slice) -> PackedNorm | None:
    if q is None or k is None:
        return None

    def beside(of_q: Tensor, of_k: Tensor) -> Tensor:
        rows = [of_q.detach()[order].expand(config.n_heads, -1), of_k.detach()[order].expand(config.n_kv_heads, -1)]
        return torch.cat(rows)  # (H + K, D)

    weight = beside(q.weight, k.weight)
    if q.bias is not None and k.bias is not None:
        return PackedLayerNorm(weight, beside(q.bias, k.bias), q.eps)
    return PackedRMSNorm(weight, weight.new_tensor(q.eps))


def _pairs(d_head: int) -> Tensor:
    """Channels i and i + D/2, which a rotation turns together, side by side: (D,), indices."""
    return torch.arange(d_head).view(2, -1).t().flatten()


def _place_table(model: Decoder, every: Tensor) -> Tensor | None:
    if model.config.positions == "learned":
        return model.model.embed_positions.weight.detach()
    return sinusoids(every[None], model.config.d_model)[0] if model.config.positions == "sinusoidal" else None


def _turn_table(config: ModelConfig, every: Tensor) -> Tensor | None:
    if config.positions != "rope":
        return None
    cos, sin = rotation(every[None], d_head=config.d_head, theta=config.rope_theta)
    return torch.complex(cos[0, 0], sin[0, 0])
