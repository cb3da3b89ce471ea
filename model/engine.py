"""What serves a model, whichever library computes it: continuations that join and leave a running batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from model.generation import Decoding


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What is asked of an engine.

    prompt: token ids; the engine puts the end token in front, as `model.generation.generate` does. stop: ids that end
    it beside the end token.
    """

    prompt: tuple[int, ...]
    decoding: Decoding
    seed: int
    stop: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Step:
    """One token of one slot; token None: it ended before max_tokens, at the end token or one of `stop`.

    finished: "length" comes with the last token that max_tokens allows; the slot is free as soon as this is not None.
    """

    slot: int
    token: int | None
    finished: Literal["stop", "length"] | None


class Engine(Protocol):
    """Slots that are continued together. Not for two threads at once.

    context: tokens of a prompt and its answer together, the end token in front not counted.
    """

    name: str
    context: int
    slots: int

    def join(self, asked: Continuation) -> int:
        """The slot it has from now on.

        Raises ValueError where no slot is free, or prompt and max_tokens are more than the context.
        """

    def step(self) -> list[Step]:
        """The next token of every live slot; empty where none is live.

        One that has just joined may wait some steps for its first while the prompts of others are read.
        """

    def leave(self, slot: int) -> None:
        """Free a slot, whatever it was doing; one that is free stays so."""

    def close(self) -> None:
        """Give back what it holds; nothing is asked of it afterwards."""
