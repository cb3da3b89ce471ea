"""A start for the weights that can look back: an induction circuit, set by hand, that training goes on from.

In a small model the two heads that copy (one looks at the token before, one for the last place where the present token
stood, and says what came after it; arXiv:2209.11895) form late: not within the tokens that a laptop trains on. They are
given here, in the manner of mimetic initialisation (arXiv:2305.09828). All of it is ordinary weights, free to change,
in the shape of Qwen3. What it brought: docs/decisions.md, "a model that keeps hold of a name".
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from model.config import ModelConfig
from model.decoder import INIT_STD, Block, Decoder

EMBEDDING_STD = 0.1  # of `initialise` .02: what blocks add at first is small beside a token's own vector
CONSTANT = 3.0  # in standard deviations: the channel that is the same for all tokens, by which a position is found
SHARPNESS = 2.0**0.5  # of the queries' and the keys' norm in both layers: scores of up to twice the root of D
LOOKING_BACK = 2.5  # what the first head adds to the stream, in standard deviations of an embedding
SAYING_AGAIN = 1.0  # the same of the second
FAST_PAIRS = 8  # of rotary channels, the fastest: they tell the token before from its neighbours
SLOW_PAIRS = 12  # the slowest: they hardly turn within a context, so that tokens are compared wherever they stand


def fits(config: ModelConfig) -> bool:
    """Whether the shape has what the circuit is made of: rotary positions, a QK norm, two layers, wide heads."""
    wide = config.d_head >= 2 * SLOW_PAIRS and config.d_model > 4 * SLOW_PAIRS
    return config.positions == "rope" and config.qk_norm and config.n_layers >= 2 and wide


@torch.no_grad()
def set_induction_heads(model: Decoder, *, generator: torch.Generator) -> None:
    """Turns head 0 of the first two layers of an initialised model into an induction circuit.

    The stream's channel 0 is made the same for all tokens; two subspaces of the others are read and written: what a
    token is, and what the token before it was. The first loss is one or two nats above ln(V), for the embeddings are
    large. Raises ValueError where the shape does not fit.
    """
    config = model.config
    if not fits(config):
        raise ValueError("an induction circuit needs rotary positions, a QK norm, two layers and heads of 24 channels")
    embeddings = model.model.embed_tokens.weight  # (V, C)
    embeddings.mul_(EMBEDDING_STD / INIT_STD)
    embeddings[:, 0] = CONSTANT * EMBEDDING_STD
    present, before = _subspaces(config, generator)
    first, second = (cast(Block, model.model.layers[number]).self_attn for number in (0, 1))
    for attention in (first, second):
        assert attention.q_norm is not None  # it fits
        assert attention.k_norm is not None
        attention.q_norm.weight.fill_(SHARPNESS)
        attention.k_norm.weight.fill_(SHARPNESS)
        attention.v_proj.weight[: config.d_head] = 0.0
        attention.v_proj.weight[: len(present)] = present
        attention.q_proj.weight[: config.d_head] = 0.0
        attention.k_proj.weight[: config.d_head] = 0.0
    query, key = _one_back(config)
    first.q_proj.weight[: config.d_head, 0] = query
    first.k_proj.weight[: config.d_head, 0] = key
    first.o_proj.weight[:, : len(before)] = LOOKING_BACK * EMBEDDING_STD * before.T
    half = config.d_head // 2
    slow = [*range(half - SLOW_PAIRS, half), *range(config.d_head - SLOW_PAIRS, config.d_head)]
    second.q_proj.weight[slow] = present[: len(slow)]
    second.k_proj.weight[slow] = before[: len(slow)]
    second.o_proj.weight[:, : len(present)] = SAYING_AGAIN * EMBEDDING_STD * present.T


def _subspaces(config: ModelConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two times n orthonormal rows, orthogonal to each other and to channel 0: (n, C) each, n at most D."""
    channels = config.d_model - 1
    rows, _ = torch.linalg.qr(torch.randn(channels, channels, generator=generator))
    basis = torch.zeros(channels, config.d_model)
    basis[:, 1:] = rows.T
    n = min(config.d_head, channels // 2)
    return basis[:n], basis[n : 2 * n]


def _one_back(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """A query and a key, (D,) each, whose score after rotation is highest where the key stands one position before."""
    half = config.d_head // 2
    turns = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)[:FAST_PAIRS]  # radians a position
    query, key = torch.zeros(config.d_head), torch.zeros(config.d_head)
    key[:FAST_PAIRS] = 1.0
    query[:FAST_PAIRS] = turns.cos()
    query[half : half + FAST_PAIRS] = -turns.sin()
    return query, key
