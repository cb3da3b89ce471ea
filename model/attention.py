"""Causal attention: in blocks of rows on a CPU, by scaled_dot_product_attention elsewhere, and against a cache.

Letters: B rows of a batch, H query heads, K key and value heads, G = H / K, T positions, D channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.gradients import blocked_attention


def rotation(positions: Tensor, *, d_head: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for `rotate`. positions: (B or 1, T), integers. Returns two (B or 1, 1, T, D/2), float32."""
    steps = torch.arange(0, d_head, 2, dtype=torch.float32, device=positions.device)
    frequencies = 1.0 / (theta ** (steps / d_head))  # (D/2,)
    angles = positions[:, None, :, None].float() * frequencies  # (B, 1, T, D/2)
    return angles.cos(), angles.sin()


def attention_mask(
    positions: int, *, documents: Tensor | None, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """What `causal_attention` needs to know of who sees whom, once for all layers.

    documents: (B, T), integers, or None: positions see each other only inside the same document. Returns (B or 1, T, T)
    of `dtype`, 0 where a query may look and -inf where not; None on a GPU without documents.
    """
    if documents is None and device.type != "cpu":
        return None  # the kernel's own causal mask
    seen = torch.ones(positions, positions, dtype=torch.bool, device=device).tril()[None]  # (1, T, T)
    if documents is not None:
        seen = seen & (documents[:, :, None] == documents[:, None, :])  # (B, T, T)
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, float("-inf"))


def causal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Causal attention by what is fastest where the tensors are.

    q: (B, H, T, D); k, v: (B, K, T, D); mask: of `attention_mask`. Returns (B, H, T, D).
    """
    if q.device.type == "cpu" and mask is not None:
        return blocked_attention(q, k, v, mask)
    grouped = q.shape[1] != k.shape[1]
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None], enable_gqa=grouped)


@dataclass
class LayerCache:
    """Keys and values of one layer for decoding, filled from the left. keys, values: (B, K, capacity, D)."""

    keys: Tensor
    values: Tensor

    def append(self, k: Tensor, v: Tensor, *, length: int) -> tuple[Tensor, Tensor]:
        """Store k, v: (B, K, T, D) after the first `length` positions; return all keys and values so far."""
        stop = length + k.shape[2]
        self.keys[:, :, length:stop] = k
        self.values[:, :, length:stop] = v
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def select(self, rows: Tensor, *, first: int, stop: int, capacity: int) -> LayerCache:
        """A copy of positions first..stop-1 of `rows` (B', indices, repeats allowed) with place for `capacity`."""
        parts = []
        for whole in (self.keys, self.values):
            part = whole.new_empty((len(rows), whole.shape[1], capacity, whole.shape[3]))
            part[:, :, : stop - first] = whole[:, :, first:stop].index_select(0, rows)
            parts.append(part)
        return LayerCache(*parts)


def cached_attention(q: Tensor, k: Tensor, v: Tensor, *, starts: Tensor) -> Tensor:
    """Attention of the newest T positions over all S cached ones.

    q: (B, H, T, D); k, v: (B, K, S, D), S >= T; starts: (B,), the first position that is no padding in each row.
    What a padded query gives is finite and means nothing. Returns (B, H, T, D).
    """
    b, h, t, d = q.shape
    n_kv, s = k.shape[1], k.shape[2]
    at = torch.arange(s, device=q.device)
    hidden = (at < starts[:, None])[:, None]  # (B, 1, S)
    if t > 1:
        hidden = hidden | (at > at[s - t :, None])  # (B, T, S)
    # not -inf: a padded query sees nothing, and an empty row would be NaN
    mask = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device).masked_fill_(hidden, torch.finfo(q.dtype).min / 2)
    if h != n_kv:
        q, mask = q.reshape(b, n_kv, -1, d), mask.repeat(1, h // n_kv, 1)  # (B, K, G T, D), (B, G T, S)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None]).view(b, h, t, d)
