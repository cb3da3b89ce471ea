"""The engine that runs wherever torch does: one cache for all slots, one token a step for all live ones."""

from __future__ import annotations

import torch

from model.decoder import Decoder
from model.serving.packed import PackedDecoder
from model.serving.slots import SlotEngine
from model.serving.static_cache import StaticCache


class TorchEngine(SlotEngine):
    """See `model.engine.Engine`. Equal tokens to `model.generation.generate`, alone and beside any others.

    threads: of torch, for the steps, or None: as they are. The model is copied into another layout and may go.
    """

    name = "torch"

    def __init__(self, model: Decoder, *, slots: int, threads: int | None = None) -> None:
        if slots < 1:
            raise ValueError(f"slots={slots} is below 1")
        with torch.inference_mode():
            cache = StaticCache(PackedDecoder(model), places=slots)
        config = model.config
        super().__init__(
            cache, slots=slots, context=config.context, vocabulary=config.vocabulary_size, end=config.end_id,
            threads=threads,
        )  # fmt: skip
