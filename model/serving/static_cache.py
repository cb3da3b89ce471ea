"""Keys and values of all rows an engine can hold, allocated once; live rows lie in the first places.

Letters: N places, B rows in use, H heads, K key and value heads, G = H / K, T positions, S positions that are
read, D channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention import attention_mask, causal_attention
from model.serving.packed import Attend, PackedDecoder


class StaticCache:
    """`lengths` of the rows are the caller's: what lies behind them is old and never looked at."""

    def __init__(self, model: PackedDecoder, *, places: int) -> None:
        config = model.config
        self.model = model
        self.heads = config.n_kv_heads
        self.context = config.context
        shape = (config.n_layers, places, config.n_kv_heads, config.context, config.d_head)
        # zeros: a masked value still counts 0 times what it is, and leftover memory may be NaN
        self.keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.values = torch.zeros(shape, dtype=model.dtype, device=model.device)

    @torch.inference_mode()
    def move(self, place: int, to: int, *, length: int) -> None:
        """Copy the row of one place over another's."""
        for whole in (self.keys, self.values):
            whole[:, to, :, :length] = whole[:, place, :, :length]

    def fill(self, prompts: Sequence[Sequence[int]], *, first: int) -> Tensor:
        """Read prompts into the places from `first` on. Returns the logits after each: (B, V)."""
        width = max(map(len, prompts))
        padded = [[*prompt, *[0] * (width - len(prompt))] for prompt in prompts]
        ids = torch.tensor(padded, device=self.model.device)  # (B, T)
        positions = torch.arange(width, device=ids.device).expand_as(ids)
        hidden = self.model.hidden(ids, positions, self._filling(first, ids))
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=ids.device)
        return self.model.logits(hidden[torch.arange(len(prompts), device=ids.device), last])

    def advance(self, ids: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Append one id to each of the first rows, which hold `lengths` positions. Returns the logits: (B, V)."""
        positions = torch.tensor(lengths, device=self.model.device)  # (B,)
        new = torch.tensor(ids, device=self.model.device)[:, None]  # (B, 1)
        hidden = self.model.hidden(new, positions[:, None], self._advancing(positions, max(lengths) + 1))
        return self.model.logits(hidden[:, 0])

    def _filling(self, first: int, ids: Tensor) -> Attend:
        rows, width = ids.shape
        mask = attention_mask(width, documents=None, dtype=self.model.dtype, device=ids.device)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            k, v = k.transpose(1, 2), v.transpose(1, 2)  # (B, K, T, D)
            self.keys[layer, first : first + rows, :, :width] = k
            self.values[layer, first : first + rows, :, :width] = v
            return causal_attention(q.transpose(1, 2), k, v, mask).transpose(1, 2)

        return attend

    def _advancing(self, positions: Tensor, stop: int) -> Attend:
        rows = len(positions)
        heads = torch.arange(rows * self.heads, device=positions.device).view(rows, -1)  # (B, K)
        flat = (heads * self.context + positions[:, None]).flatten()  # (B K,), where the new ones go
        hidden = torch.arange(stop, device=positions.device) > positions[:, None]  # (B, S)
        mask = None
        if rows > 1:
            mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=positions.device)
            mask = mask.masked_fill_(hidden, float("-inf"))[:, None, None]  # (B, 1, 1, S)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            d = q.shape[-1]
            self.keys[layer].view(-1, d).index_copy_(0, flat, k.reshape(-1, d))
            self.values[layer].view(-1, d).index_copy_(0, flat, v.reshape(-1, d))
            grouped = q.view(rows, self.heads, -1, d)  # (B, K, G, D): heads of one group are neighbours
            keys, values = self.keys[layer, :rows, :, :stop], self.values[layer, :rows, :, :stop]  # (B, K, S, D)
            return F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask).view(rows, 1, -1, d)

        return attend
