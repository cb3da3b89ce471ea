"""The decoder: Qwen3's shape by default (Llama's and older ones by parameter), in plain torch.

The module tree is named so that state_dict keys are the tensor names of Hugging Face's Qwen3 and Llama.
Letters: B rows of a batch, T positions, C channels of the model, H heads, K key and value heads, D channels of a head,
F channels of the feed-forward part, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import LayerCache, attention_mask, cached_attention, causal_attention, rotation
from model.config import ModelConfig
from model.gradients import rms_norm, rotate

INIT_STD = 0.02  # of the embeddings: with tied ones and a final norm the first loss is ln(V) to two digits


class Linear(nn.Linear):
    """A matrix without bias, kept in float32 and multiplied in the dtype of its input."""

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(d_in, d_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., d_in). Returns (..., d_out) in x's dtype."""
        return F.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """RMSNorm (arXiv:1910.07467) or LayerNorm, computed in float32."""

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if config.norm == "layernorm" else None
        self.eps = config.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width). Returns float32 of the same shape."""
        x = x.float()
        if self.bias is not None:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return rms_norm(x, self.weight, eps=self.eps)


@dataclass
class Cache:
    """Keys and values of all layers; `length` positions are filled. starts: (B,), where each row's padding ends.

    rotation: cosines and sines of every position, (context, D/2) each, or None where positions are not rotary.
    """

    layers: list[LayerCache]
    starts: Tensor
    rotation: tuple[Tensor, Tensor] | None
    length: int = 0

    def select(self, rows: Tensor, *, capacity: int) -> Cache:
        """A copy of some rows with place for `capacity` positions at most, without the padding they share.

        rows: (B',), indices on the cache's device; one that is named twice is there twice.
        """
        starts = self.starts[rows]
        first = int(starts.min())
        layers = [layer.select(rows, first=first, stop=self.length, capacity=capacity) for layer in self.layers]
        return Cache(layers=layers, starts=starts - first, rotation=self.rotation, length=self.length - first)


class Attention(nn.Module):
    """Grouped-query self-attention (arXiv:2305.13245) with an optional RMSNorm on queries and keys (Qwen3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, h, k, d = config.d_model, config.n_heads, config.n_kv_heads, config.d_head
        self.d_head = d
        self.q_proj = Linear(c, h * d)
        self.k_proj = Linear(c, k * d)
        self.v_proj = Linear(c, k * d)
        self.o_proj = Linear(h * d, c)
        self.q_norm = Norm(d, config) if config.qk_norm else None
        self.k_norm = Norm(d, config) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        cos: Tensor | None,
        sin: Tensor | None,
        mask: Tensor | None,
        cache: LayerCache | None = None,
        length: int = 0,
        starts: Tensor | None = None,
    ) -> Tensor:
        """x: (B, T, C). Returns (B, T, C) in x's dtype."""
        b, t, _ = x.shape
        q = self._heads(self.q_proj(x), self.q_norm, cos, sin)  # (B, H, T, D)
        k = self._heads(self.k_proj(x), self.k_norm, cos, sin)  # (B, K, T, D)
        v = self.v_proj(x).view(b, t, -1, self.d_head).transpose(1, 2)  # (B, K, T, D)
        if cache is None:
            out = causal_attention(q, k, v, mask)
        else:
            assert starts is not None
            out = cached_attention(q, *cache.append(k, v, length=length), starts=starts)
        return cast(Tensor, self.o_proj(out.transpose(1, 2).reshape(b, t, -1)))

    def _heads(self, x: Tensor, norm: Norm | None, cos: Tensor | None, sin: Tensor | None) -> Tensor:
        b, t, _ = x.shape
        heads = x.view(b, t, -1, self.d_head).transpose(1, 2)  # (B, H, T, D)
        if norm is not None:
            heads = norm(heads)
        if cos is not None and sin is not None:
            heads = rotate(heads.float(), cos, sin)
        return heads.to(x.dtype)


class FeedForward(nn.Module):
    """The feed-forward part: gated (SwiGLU, GeGLU: arXiv:2002.05202) or plain (ReLU, GELU, squared ReLU)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.gate_proj = Linear(config.d_model, config.d_ff) if config.gated else None
        self.up_proj = Linear(config.d_model, config.d_ff)
        self.down_proj = Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C) in x's dtype."""
        up = self.up_proj(x)  # (B, T, F)
        if self.gate_proj is not None:
            gate = self.gate_proj(x)
            gated = F.silu(gate) if self.activation == "swiglu" else F.gelu(gate)
            return cast(Tensor, self.down_proj(gated * up))
        if self.activation == "gelu":
            return cast(Tensor, self.down_proj(F.gelu(up)))
        hidden = F.relu(up)
        return cast(Tensor, self.down_proj(hidden.square() if self.activation == "squared_relu" else hidden))


class Block(nn.Module):
    """One layer: attention, then feed-forward, each after a norm and added to the stream (kept in float32)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = Norm(config.d_model, config)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config.d_model, config)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        cos: Tensor | None,
        sin: Tensor | None,
        mask: Tensor | None,
        dtype: torch.dtype,
        cache: LayerCache | None = None,
        length: int = 0,
        starts: Tensor | None = None,
    ) -> Tensor:
        """x: (B, T, C), float32; matmuls in dtype. Returns x's shape, float32."""
        attended = self.self_attn(self.input_layernorm(x).to(dtype), cos, sin, mask, cache, length, starts)
        x = x + attended
        return x + cast(Tensor, self.mlp(self.post_attention_layernorm(x).to(dtype)))


class Body(nn.Module):
    """Embedding, layers and the last norm: everything but the output matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary_size, config.d_model)
        if config.positions == "learned":
            self.embed_positions = nn.Embedding(config.context, config.d_model)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = Norm(config.d_model, config)


class Decoder(nn.Module):
    """A decoder-only language model.

    Weights are float32; `dtype` is what matrices are multiplied in (torch.bfloat16 or torch.float32).
    """

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        self.model = Body(config)
        self.lm_head = None if config.tied_embeddings else Linear(config.d_model, config.vocabulary_size)
        self.compiled: Callable[..., Tensor] | None = None
        self.compiled_shape: tuple[int, int] | None = None

    def compile_blocks(self, *, rows: int, positions: int) -> None:
        """Compile one function for all layers, used in training for batches of (rows, positions) and nothing else.

        The embedding lookup stays outside: compiled, its backward adds with atomics and the bytes differ from run to
        run. Scoring and generation run eagerly, so that no second graph is ever compiled.
        """
        dtype = self.dtype

        def run(block: Block, x: Tensor, cos: Tensor | None, sin: Tensor | None, mask: Tensor | None) -> Tensor:
            return block.forward(x, cos, sin, mask, dtype)

        self.compiled = torch.compile(run, fullgraph=True, dynamic=False)
        self.compiled_shape = (rows, positions)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.embed_tokens.weight.device

    def parameter_count(self) -> int:
        """All parameters, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def output_weight(self) -> Tensor:
        """The matrix from channels to the vocabulary: (V, C)."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden(self, ids: Tensor, *, positions: Tensor | None = None, documents: Tensor | None = None) -> Tensor:
        """The stream after the last norm. ids: (B, T); positions: (B or 1, T), None: 0..T-1; documents: (B, T) or None.

        Tokens see each other only inside the same document where documents are given. Returns (B, T, C) in `dtype`.
        Raises ValueError if T is above the context.
        """
        if ids.shape[1] > self.config.context:
            raise ValueError(f"{ids.shape[1]} tokens are more than the context of {self.config.context}")
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        x = self._embed(ids, positions)
        cos, sin = self._rotation(positions)
        mask = attention_mask(ids.shape[1], documents=documents, dtype=self.dtype, device=x.device)
        compiled = self.compiled if x.shape[:2] == self.compiled_shape and torch.is_grad_enabled() else None
        for block in self.model.layers:
            x = block(x, cos, sin, mask, self.dtype) if compiled is None else compiled(block, x, cos, sin, mask)
        return cast(Tensor, self.model.norm(x)).to(self.dtype)

    def forward(self, ids: Tensor, *, positions: Tensor | None = None, documents: Tensor | None = None) -> Tensor:
        """Logits of the next token: (B, T, V), float32. Arguments as in `hidden`."""
        return self.logits(self.hidden(ids, positions=positions, documents=documents))

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden: (..., C). Returns (..., V), float32."""
        return F.linear(hidden, self.output_weight().to(hidden.dtype)).float()

    def new_cache(self, *, rows: int, capacity: int, starts: Tensor) -> Cache:
        """An empty cache for `rows` sequences of up to `capacity` positions; starts: (rows,), see `Cache`."""
        shape = (rows, self.config.n_kv_heads, capacity, self.config.d_head)
        layers = [
            LayerCache(*(torch.zeros(shape, dtype=self.dtype, device=self.device) for _ in range(2)))
            for _ in range(self.config.n_layers)
        ]
        cos, sin = self._rotation(torch.arange(self.config.context, device=self.device)[None])  # once, not a step
        table = None if cos is None or sin is None else (cos[0, 0], sin[0, 0])
        return Cache(layers=layers, starts=starts, rotation=table)

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Append ids: (B, T) to the cache. Returns the logits after the last of them: (B, V), float32."""
        return self.logits(self.advance(ids, cache)[:, -1])

    def advance(self, ids: Tensor, cache: Cache) -> Tensor:
        """Append ids: (B, T) to the cache. Returns the stream after the last norm, (B, T, C) in `dtype`."""
        at = torch.arange(cache.length, cache.length + ids.shape[1], device=ids.device)
        positions = (at - cache.starts[:, None]).clamp_(min=0)  # (B, T)
        x = self._embed(ids, positions)
        cos, sin = (None, None) if cache.rotation is None else (part[positions][:, None] for part in cache.rotation)
        for block, layer in zip(self.model.layers, cache.layers, strict=True):
            x = block(x, cos, sin, None, self.dtype, layer, cache.length, cache.starts)
        cache.length += ids.shape[1]
        return cast(Tensor, self.model.norm(x)).to(self.dtype)

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        x = cast(Tensor, self.model.embed_tokens(ids))  # (B, T, C)
        if self.config.positions == "learned":
            return x + cast(Tensor, self.model.embed_positions(positions))
        if self.config.positions == "sinusoidal":
            return x + sinusoids(positions, self.config.d_model)
        return x

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
        if self.config.positions != "rope":
            return None, None
        return rotation(positions, d_head=self.config.d_head, theta=self.config.rope_theta)


def sinusoids(positions: Tensor, d_model: int) -> Tensor:
    """Fixed positions (arXiv:1706.03762, section 3.5), scaled to the embeddings; (B, T) to (B, T, C)."""
    steps = torch.arange(0, d_model, 2, dtype=torch.float32, device=positions.device)
    angles = positions[..., None].float() / (10_000.0 ** (steps / d_model))  # (B, T, C/2)
    return INIT_STD * torch.cat((angles.sin(), angles.cos()), dim=-1)


@torch.no_grad()
def initialise(model: Decoder, *, generator: torch.Generator) -> None:
    """Fill the weights: embeddings normal, matrices uniform by their width, projections into the stream zero.

    With zero output projections every block starts as the identity, so that the first loss is ln(V).
    """
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", "bias")):
            parameter.zero_()
        elif name.endswith("norm.weight"):
            parameter.fill_(1.0)
        elif "embed" in name or name.startswith("lm_head"):
            parameter.normal_(0.0, INIT_STD, generator=generator)
        else:
            bound = math.sqrt(3.0 / parameter.shape[1])  # a standard deviation of 1 / sqrt(width)
            parameter.uniform_(-bound, bound, generator=generator)
