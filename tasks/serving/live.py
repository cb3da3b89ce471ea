"""A model version that is being served: its tokenizer, its engine's loop, and its weights where labels are weighed."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from model.engine import Engine
from tasks.chat import END_OF_TURN, encode_chat, is_taught_to_chat
from tasks.serving.detokenising import Spelling
from tasks.serving.loop import Loop
from tasks.serving.params import ServeParams
from tasks.serving.versions import Served
from tasks.stage import UserError
from tasks.tokenizer_kinds import load_tokenizer

if TYPE_CHECKING:
    from model.decoder import Decoder


class Live:
    """What one version needs to reply. It is closed when nothing uses it any more; see `hold` and `retire`.

    decoder: the weights, read when they are asked for first.
    """

    def __init__(
        self, served: Served, engine: Engine, *, queue: int, tell_s: float = 0.0, decoder: "Callable[[], Decoder]"
    ) -> None:  # fmt: skip
        self.served = served
        self.tokenizer: Tokenizer = load_tokenizer(served.folder / "tokenizer.json")
        self.spelling = Spelling(self.tokenizer)
        self.chats = is_taught_to_chat(served.folder)
        # last: turns that nobody would end where the tokenizer can't be read
        self.loop = Loop(engine, queue=queue, tell_s=tell_s)
        self._decoder = decoder
        self._uses = 0
        self._retired = False

    def __enter__(self) -> "Live":
        self._uses += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._uses -= 1
        self._close_if_idle()

    def retire(self) -> None:
        """Nothing new comes: it is closed with the last reply that is on its way. In the event loop's thread."""
        self._retired = True
        self._close_if_idle()

    @property
    def fingerprint(self) -> str:
        """Which bytes reply: OpenAI's system_fingerprint."""
        return f"{self.served.name}-{self.served.version}-{self.served.model_md5[:8]}-{self.loop.engine_name}"

    def encode(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of a chat, up to where its reply begins."""
        return encode_chat(self.tokenizer, messages, ask=True).ids

    def encode_text(self, text: str) -> list[int]:
        """The token ids of a text; none of them is special, whatever it spells."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    async def weigh(self, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> list[float]:
        """How likely each label is as the whole reply; they add up to 1. Between two steps of the engine."""
        return await self.loop.run(lambda: self._weighed(prompt, labels))

    def _weighed(self, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> list[float]:
        import numpy as np

        from model.scoring import continuation_bits

        (bits,) = continuation_bits(self._weights, [prompt], [[[*ids, END_OF_TURN] for ids in labels]])
        costs = np.array([each.sum() for each in bits])
        likely = np.exp2(costs.min() - costs)
        return [float(part) for part in likely / likely.sum()]

    @cached_property
    def _weights(self) -> "Decoder":
        return self._decoder()

    def _close_if_idle(self) -> None:
        if self._retired and not self._uses:
            threading.Thread(target=self.loop.close, name="close", daemon=True).start()


def load(served: Served, params: ServeParams) -> Live:
    """Reads a version and starts its loop. Raises UserError with one line where it can't be read."""
    from model.checkpoint import load_model

    try:
        made = _torch if params.engine == "torch" else _llama_cpp
        engine = made(served.folder, params)
        return Live(
            served, engine, queue=params.queue, tell_s=params.stream_interval_s,
            decoder=lambda: load_model(served.folder),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{served.folder} can't be served: {line}") from error


def _torch(folder: Path, params: ServeParams) -> Engine:
    from model.checkpoint import load_model
    from model.torch_engine import TorchEngine

    return TorchEngine(load_model(folder), slots=params.slots)


def _llama_cpp(folder: Path, params: ServeParams) -> Engine:
    from tasks.serving.llama_cpp import LlamaCppEngine

    return LlamaCppEngine(folder, slots=params.slots, numbers=params.llama_cpp.numbers)
