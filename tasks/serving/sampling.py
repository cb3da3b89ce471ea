"""How a request wants its tokens drawn: OpenAI's words and defaults, and those of a model beside them."""

import secrets
from typing import Annotated

from pydantic import AfterValidator, Field

from model.generation import Decoding
from tasks.stage import Params

MOST_STOPS = 4
SEEDS = 2**63  # a seed is a signed 64-bit number


def writable(text: str) -> str:
    """The text, where it is one in UTF-8: JSON may spell half of a surrogate pair. Raises ValueError where not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is no text: it holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(writable)]
Stop = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(writable)]


class Sampling(Params):
    """temperature 0: always the likeliest token. seed None: one is drawn. max_tokens None: the server's own."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, le=1_000_000)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)
    stop: tuple[Stop, ...] = Field(default=(), max_length=MOST_STOPS)

    def decoding(self, *, max_tokens: int) -> Decoding:
        """What the engine is told; max_tokens is what remains of the context where that is less."""
        return Decoding(
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty,
        )

    def chosen_seed(self) -> int:
        """The seed that was asked for, else a new one."""
        return secrets.randbelow(SEEDS) if self.seed is None else self.seed


def next_seed(seed: int) -> int:
    """The seed of the next attempt."""
    return seed + 1 if seed + 1 < SEEDS else -SEEDS
