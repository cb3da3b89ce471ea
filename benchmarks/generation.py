"""What it brings to have a model go on from many prompts at once, and how the engines are beside transformers."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.row import Row

if TYPE_CHECKING:
    from model.decoder import Decoder
    from model.engine import Continuation, Engine

ROUNDS = 3
PROMPTS = 32
BATCH = 32
MAX_TOKENS = 64
ENGINE_SLOTS = 64
ENGINE_ROUNDS = 5
THREADS = 2
STORIES = 2_000  # of the generator: words enough for a vocabulary of 4,096
PEER_PROMPTS = 8  # of the 64: enough for the peer's rate one by one
STOP = range(1, 33)  # any 32 of the 2,048 tokens: texts end at very different lengths, as answers do


def generate_batch32_vs_one_by_one() -> Row:
    """Median tokens/s of batched and of one-by-one generation, both uncompiled: the same texts, rounds interleaved.

    The default shape in float32 with random weights, two threads, prompts of 8 to 256 tokens, story decoding.
    """
    model, prompts = _model(), _prompts(PROMPTS, longest=256)
    together, alone = [], []
    with threads():
        for _ in range(ROUNDS):
            together.append(_tokens_per_s(model, prompts, batch=BATCH))
            alone.append(_tokens_per_s(model, prompts, batch=1))
    return Row(
        name="generate_batch32_vs_one_by_one",
        unit="tokens/s",
        value=round(statistics.median(together), 1),
        peer="one by one",
        peer_value=round(statistics.median(alone), 1),
        bar=5.0,
        lower_is_better=False,
    )


def generate_torch_vs_transformers() -> Row:
    """Median greedy tokens/s of one stream: the torch engine beside transformers' generate with its cache.

    A model of 6 million parameters in float32 with the same weights, two threads, rounds interleaved.
    """
    return _beside_transformers(
        "generate_torch_vs_transformers", "transformers generate, its cache on", streams=1, bar=2.0
    )


def generate_batch64_vs_transformers() -> Row:
    """Median greedy tokens/s of 64 streams at once in the torch engine beside transformers' rate one by one.

    The same model and threads as `generate_torch_vs_transformers`; prompts of 8 to 64 tokens, read by both.
    """
    return _beside_transformers(
        "generate_batch64_vs_transformers", "transformers generate one by one", streams=ENGINE_SLOTS, bar=9.0
    )


def generate_llamacpp_vs_transformers() -> Row:
    """Median greedy tokens/s of one stream: the engine llama.cpp beside transformers' generate with its cache.

    In its fastest numbers; the row's note has each kind, of which f32 is the one that says the torch engine's text.
    The same model and threads as `generate_torch_vs_transformers`. Raises UserError without llama-cpp-python.
    """
    from tasks.exporting.gguf import NUMBERS
    from tasks.serving.llama_cpp import LlamaCppEngine

    model, prompts = six_million(), _prompts(1, longest=64)
    theirs = _in_transformers(model)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder) / "model", model)
        engines = {
            numbers: LlamaCppEngine(Path(folder) / "model", slots=1, threads=THREADS, numbers=numbers)
            for numbers in NUMBERS
        }  # fmt: skip
    ours_per_s: dict[str, list[float]] = {numbers: [] for numbers in engines}
    theirs_per_s = []
    with threads():
        for _ in range(ENGINE_ROUNDS + 1):  # the first warms up
            for numbers, engine in engines.items():
                ours_per_s[numbers].append(rate(lambda engine=engine: engine_tokens(engine, prompts)))
            theirs_per_s.append(rate(lambda: theirs(prompts[0])))
    medians = {numbers: round(statistics.median(rates[1:]), 1) for numbers, rates in ours_per_s.items()}
    best = max(medians, key=lambda numbers: medians[numbers])
    return Row(
        name="generate_llamacpp_vs_transformers",
        unit="tokens/s",
        value=medians[best],
        peer="transformers generate, its cache on",
        peer_value=round(statistics.median(theirs_per_s[1:]), 1),
        bar=7.0,
        lower_is_better=False,
        note=f"in {best}; {', '.join(f'{numbers} {rate}' for numbers, rate in medians.items())}; f32: the same text",
    )


def _beside_transformers(name: str, peer: str, *, streams: int, bar: float) -> Row:
    from model.torch_engine import TorchEngine

    model = six_million()
    prompts = _prompts(streams, longest=64)
    engine, theirs = TorchEngine(model, slots=streams), _in_transformers(model)
    ours_per_s, theirs_per_s = [], []
    with threads():
        for _ in range(ENGINE_ROUNDS + 1):  # the first warms up
            ours_per_s.append(rate(lambda: engine_tokens(engine, prompts)))
            theirs_per_s.append(rate(lambda: sum(map(theirs, prompts[:PEER_PROMPTS]))))
    return Row(
        name=name,
        unit="tokens/s",
        value=round(statistics.median(ours_per_s[1:]), 1),
        peer=peer,
        peer_value=round(statistics.median(theirs_per_s[1:]), 1),
        bar=bar,
        lower_is_better=False,
    )


def _in_transformers(model: "Decoder") -> Callable[[Sequence[int]], int]:
    """The model as transformers loads it; what it is given goes on for MAX_TOKENS tokens."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from model.checkpoint import save_model

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), model, tokenizer=None)
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def generate(prompt: Sequence[int]) -> int:
        ids = torch.tensor([[0, *prompt]])
        found = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_TOKENS, do_sample=False,
            use_cache=True, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return int(found.shape[1]) - ids.shape[1]

    return generate


def engine_tokens(engine: "Engine", prompts: Sequence[Sequence[int]]) -> int:
    """Greedy texts of MAX_TOKENS tokens; returns how many tokens there were."""
    from model.engine import Continuation
    from model.generation import Decoding

    greedy = Decoding(max_tokens=MAX_TOKENS, temperature=0.0)
    return engine_tokens_of(engine, [Continuation(prompt=tuple(ids), decoding=greedy, seed=0) for ids in prompts])


def engine_tokens_of(engine: "Engine", wanted: "Sequence[Continuation]") -> int:
    """Has an engine go on with all of them at once; returns how many tokens there were."""
    for asked in wanted:
        engine.join(asked)
    tokens = 0
    while steps := engine.step():
        tokens += sum(step.token is not None for step in steps)
    return tokens


def rate(run: Callable[[], int]) -> float:
    """Tokens/s of what returns their number."""
    started = time.perf_counter()
    return run() / (time.perf_counter() - started)


@contextmanager
def threads() -> Iterator[None]:
    """torch's threads are THREADS."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def six_million() -> "Decoder":
    """The model of 6 million parameters of the rows beside transformers and llama.cpp."""
    return _model(vocabulary_size=4096, d_model=256, n_layers=6, n_heads=4, n_kv_heads=4, d_ff=768)


def write_folder(folder: Path, model: "Decoder") -> None:
    """A model folder with a tokenizer of the generator's stories, as of a model that was taught to chat."""
    from model.checkpoint import save_model
    from tasks.chat import write_chat_files, write_generation_config
    from tasks.storybook.generator import generate_stories
    from tasks.tokenizer_kinds import train_tokenizer

    made = folder / "tokenizer"
    stories = (story.text for story in generate_stories(seed=0, count=STORIES))
    size = model.config.vocabulary_size
    codec = train_tokenizer(stories, kind="bpe", vocabulary_size=size, pre_tokenizer="gpt-2")
    made.mkdir(parents=True)
    codec.save(str(made / "tokenizer.json"))
    write_chat_files(made)
    save_model(folder, model, tokenizer=made / "tokenizer.json")
    write_generation_config(folder)


def _model(**changes: Any) -> "Decoder":
    """The default shape with changes, and random weights."""
    import torch

    from model.config import ModelConfig
    from model.decoder import Decoder

    shape = ModelConfig(
        vocabulary_size=2048, context=512, d_model=128, n_layers=4, n_heads=2, n_kv_heads=2, d_head=64, d_ff=384,
        positions="rope", rope_theta=10_000.0, norm="rmsnorm", norm_eps=1e-6, activation="swiglu", qk_norm=True,
        tied_embeddings=True, end_id=0,
    )  # fmt: skip
    model = Decoder(replace(shape, **changes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("norm.weight"):
                # 0.3: logits as far apart as a trained model's, so that a nucleus is as narrow
                parameter.normal_(0.0, 0.3 if "embed" in name else 0.1, generator=generator)
    return model


def _prompts(count: int, *, longest: int) -> list[list[int]]:
    import numpy as np

    random = np.random.default_rng(0)
    return [random.integers(1, 2048, length).tolist() for length in random.integers(8, longest + 1, count)]


def _tokens_per_s(model: "Decoder", prompts: list[list[int]], *, batch: int) -> float:
    from model.generation import Decoding, generate

    decoding = Decoding(max_tokens=MAX_TOKENS, temperature=0.6, top_p=0.95)
    started = time.perf_counter()
    texts = generate(model, prompts, decoding=decoding, seeds=range(len(prompts)), stop=STOP, batch=batch)
    return sum(map(len, texts)) / (time.perf_counter() - started)
