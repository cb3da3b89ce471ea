"""A server whose models say what a test wants, by real requests: what no small model says of itself."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.engine import Continuation, Step
from tasks.serving.live import Live
from tasks.serving.params import ServeParams
from tasks.serving.versions import Served
from tests.apps.serve.running import Running, running

WAITS = -1  # among an engine's tokens: it goes on when the test says so


class Saying:
    """An engine that says given texts, the next one to each request, a token a step; at WAITS it waits."""

    name, context = "torch", 128

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self.texts: deque[list[int]] = deque()
        self.goes_on = threading.Event()
        self._live: dict[int, list[int]] = {}

    def join(self, asked: Continuation) -> int:
        slot = next(slot for slot in range(self.slots) if slot not in self._live)
        self._live[slot] = self.texts.popleft()
        return slot

    def step(self) -> list[Step]:
        return [self._next(slot) for slot in list(self._live)]

    def leave(self, slot: int) -> None:
        self._live.pop(slot, None)

    def close(self) -> None:
        self._live.clear()

    def _next(self, slot: int) -> Step:
        left = self._live[slot]
        if left[:1] == [WAITS]:
            assert self.goes_on.wait(30)
            left.pop(0)
        if left:
            return Step(slot, left.pop(0), None)
        del self._live[slot]
        return Step(slot, None, "stop")


@dataclass(frozen=True)
class Said:
    """engines: by the version that they are of, the main one first."""

    server: Running
    engines: dict[str, Saying]

    @property
    def engine(self) -> Saying:
        return next(iter(self.engines.values()))

    def says(self, *texts: str, version: str | None = None) -> None:
        """What its next replies will be; of another version than the main one where one is named."""
        engine = self.engines[version] if version else self.engine
        assert not engine.texts, "what was to be said was said"
        codec = self.server.live.tokenizer
        engine.texts.extend(codec.encode(text, add_special_tokens=False).ids for text in texts)


@contextlib.contextmanager
def saying(folder: Path, *, beside: Sequence[Path] = (), **params: Any) -> Iterator[Said]:
    """Serves model folders; what they say is not theirs."""
    engines: dict[str, Saying] = {}

    def load(served: Served, params: ServeParams) -> Live:
        from model.checkpoint import load_model

        engines[served.version] = engine = Saying(slots=params.slots)
        return Live(served, engine, queue=params.queue, decoder=lambda: load_model(served.folder))

    with running(str(folder), beside=[str(other) for other in beside], load=load, **params) as made:
        yield Said(made, engines)
