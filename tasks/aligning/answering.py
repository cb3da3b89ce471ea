"""What a model answers to prompts that are not trained on: how long, how varied, beside the reference's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.chat import END_OF_TURN, encode_questions
from tasks.evaluation.word_runs import distinct_share
from tasks.training import Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder


@dataclass(frozen=True)
class Said:
    """Some answers: their tokens together, and their different word pairs over all word pairs (arXiv:1510.03055)."""

    answers: int
    tokens: int
    distinct_2: float


class Questions:
    """Prompts that a model is asked at each evaluation, always with the same random numbers."""

    def __init__(self, prompts: Sequence[str], sampling: Sampling, *, codec: Tokenizer, count: int, seed: int) -> None:
        """prompts: each different one is asked in turn until there are `count` answers; `sampling`'s own are not."""
        different = list(dict.fromkeys(prompts))
        self.prompts = encode_questions(codec, (different[at % len(different)] for at in range(count)))
        self.sampling = sampling
        self.codec = codec
        self.seeds = [seed + at for at in range(count)]

    def ask(self, decoder: Decoder) -> Said:
        """The figures of a model's answers; a token that ends one is not counted."""
        from model.generation import Decoding, generate

        decoding = Decoding(
            max_tokens=self.sampling.max_tokens, temperature=self.sampling.temperature, top_p=self.sampling.top_p
        )
        found = generate(decoder, self.prompts, decoding=decoding, seeds=self.seeds, stop=[END_OF_TURN], batch=64)
        texts = [self.codec.decode(ids) for ids in found]
        return Said(answers=len(found), tokens=sum(map(len, found)), distinct_2=distinct_share(texts, 2))


def said_figures(said: Said, reference: Said) -> dict[str, float]:
    """Figures by MLflow's names. A silent answer counts as one token, so that there is always a ratio."""
    return {
        "val/sampled_tokens": said.tokens / said.answers,
        "val/length_ratio": max(said.tokens, said.answers) / max(reference.tokens, reference.answers),
        "val/distinct_2": said.distinct_2,
    }
