"""What it brings to have a model go on from many prompts at once."""

import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.row import Row

if TYPE_CHECKING:
    from model.decoder import Decoder

ROUNDS = 3
PROMPTS = 32
BATCH = 32
MAX_TOKENS = 64
STOP = range(1, 33)  # any 32 of the 2,048 tokens: texts end at very different lengths, as answers do


def generate_batch32_vs_one_by_one() -> Row:
    """Median tokens/s of batched and of one-by-one generation, both uncompiled: the same texts, rounds interleaved.

    The default shape in float32 with random weights, two threads, prompts of 8 to 256 tokens, story decoding.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model, prompts = _default_model(), _prompts()
        together, alone = [], []
        for _ in range(ROUNDS):
            together.append(_tokens_per_s(model, prompts, batch=BATCH))
            alone.append(_tokens_per_s(model, prompts, batch=1))
    finally:
        torch.set_num_threads(threads)
    return Row(
        name="generate_batch32_vs_one_by_one",
        unit="tokens/s",
        value=round(statistics.median(together), 1),
        peer="one by one",
        peer_value=round(statistics.median(alone), 1),
        bar=5.0,
        lower_is_better=False,
    )


def _default_model() -> "Decoder":
    import torch

    from model.config import ModelConfig
    from model.decoder import Decoder

    config = ModelConfig(
        vocabulary_size=2048, context=512, d_model=128, n_layers=4, n_heads=2, n_kv_heads=2, d_head=64, d_ff=384,
        positions="rope", rope_theta=10_000.0, norm="rmsnorm", norm_eps=1e-6, activation="swiglu", qk_norm=True,
        tied_embeddings=True, end_id=0,
    )  # fmt: skip
    model = Decoder(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("norm.weight"):
                # 0.3: logits as far apart as a trained model's, so that a nucleus is as narrow
                parameter.normal_(0.0, 0.3 if "embed" in name else 0.1, generator=generator)
    return model


def _prompts() -> list[list[int]]:
    import numpy as np

    random = np.random.default_rng(0)
    return [random.integers(1, 2048, length).tolist() for length in random.integers(8, 257, PROMPTS)]


def _tokens_per_s(model: "Decoder", prompts: list[list[int]], *, batch: int) -> float:
    from model.generation import Decoding, generate

    decoding = Decoding(max_tokens=MAX_TOKENS, temperature=0.6, top_p=0.95)
    started = time.perf_counter()
    texts = generate(model, prompts, decoding=decoding, seeds=range(len(prompts)), stop=STOP, batch=batch)
    return sum(map(len, texts)) / (time.perf_counter() - started)
