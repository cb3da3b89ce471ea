"""The engine `llama.cpp`: our own GGUF export computed by llama.cpp, its tokens drawn as the torch engine draws them.

By default weights, keys and values are float32, so that a text is the torch engine's. Letters: B rows, V vocabulary.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from model.serving.slots import SlotEngine
from tasks.stage import UserError
from tasks.tokenizer_kinds import END

if TYPE_CHECKING:
    from tasks.exporting.gguf import Numbers

BATCH_TOKENS = 512  # read in one call; a longer prompt is read in several


class LlamaCppEngine(SlotEngine):
    """See `model.engine.Engine`. folder: a model folder; numbers: of the matrices, threads: None: one a core."""

    def __init__(self, folder: Path, *, slots: int, threads: int | None = None, numbers: "Numbers" = "f32") -> None:
        self.name = "llama.cpp" if numbers == "f32" else f"llama.cpp-{numbers}"  # another text is another engine's
        library = _library()
        most = int(library.llama_max_parallel_sequences())
        if not 1 <= slots <= most:
            raise UserError(f"slots={slots} is not allowed; llama.cpp takes 1 to {most}")
        self._places = LlamaCppPlaces(library, folder, places=slots, threads=threads or os.cpu_count() or 1,
                                      numbers=numbers)  # fmt: skip
        super().__init__(
            self._places, slots=slots, context=self._places.context, vocabulary=self._places.vocabulary, end=END,
            threads=None,
        )  # fmt: skip

    def close(self) -> None:
        """See `Engine.close`."""
        super().close()
        self._places.close()


class LlamaCppPlaces:
    """What `model.serving.slots.Places` asks for; each place is one of llama.cpp's sequences."""

    def __init__(self, library: ModuleType, folder: Path, *, places: int, threads: int, numbers: "Numbers") -> None:
        self._library = library
        self._model = _load(library, folder, numbers)
        self.context = int(library.llama_model_n_ctx_train(self._model))
        self.vocabulary = int(library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model)))
        self._running = library.llama_init_from_model(self._model, self._settings(places, threads, numbers))
        if not self._running:
            library.llama_model_free(self._model)
            raise UserError(f"llama.cpp has no memory for {places} slots of {self.context} tokens; take fewer slots")
        self._memory = library.llama_get_memory(self._running)
        self._sequences = list(range(places))  # of each place
        self._batch = _Batch(library, BATCH_TOKENS)

    def _settings(self, places: int, threads: int, numbers: "Numbers") -> Any:
        library = self._library
        settings = library.llama_context_default_params()
        settings.n_ctx = places * self.context
        settings.n_seq_max = places
        settings.n_batch = settings.n_ubatch = BATCH_TOKENS
        settings.n_threads = settings.n_threads_batch = threads
        settings.type_k = settings.type_v = library.GGML_TYPE_F32 if numbers == "f32" else library.GGML_TYPE_F16
        settings.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        settings.kv_unified = False  # a row's speed and rounding do not depend on how long the others are
        settings.no_perf = True
        return settings

    def move(self, place: int, to: int, *, length: int) -> None:
        """Nothing is copied: the two places change their sequences."""
        sequences = self._sequences
        sequences[place], sequences[to] = sequences[to], sequences[place]

    def fill(self, prompts: Sequence[Sequence[int]], *, first: int) -> Tensor:
        """See `Places.fill`."""
        tokens: list[tuple[int, int, int, bool]] = []
        for sequence, prompt in zip(self._sequences[first:], prompts, strict=False):
            self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)  # whoever was there before
            last = len(prompt) - 1
            tokens += [(token, at, sequence, at == last) for at, token in enumerate(prompt)]
        return self._read(tokens)

    def advance(self, ids: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """See `Places.advance`."""
        return self._read([(*one, True) for one in zip(ids, lengths, self._sequences, strict=False)])

    def _read(self, tokens: list[tuple[int, int, int, bool]]) -> Tensor:
        """Token, position, sequence, and whether the logits after it are wanted, of each. Returns those: (B, V)."""
        found = [self._decode(tokens[at : at + BATCH_TOKENS]) for at in range(0, len(tokens), BATCH_TOKENS)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _decode(self, tokens: list[tuple[int, int, int, bool]]) -> Tensor:
        wanted = self._batch.fill(tokens)
        if failed := self._library.llama_decode(self._running, self._batch.native):
            raise RuntimeError(f"llama_decode of {len(tokens)} tokens gave {failed}")
        if not wanted:
            return torch.empty(0, self.vocabulary)
        logits = np.ctypeslib.as_array(self._library.llama_get_logits(self._running), (wanted, self.vocabulary))
        return torch.from_numpy(logits.copy())  # the memory is llama.cpp's, and the next call's

    def close(self) -> None:
        """Gives everything back; a second call does nothing."""
        if self._running:
            self._batch.close()
            self._library.llama_free(self._running)
            self._library.llama_model_free(self._model)
            self._running = None


class _Batch:
    """llama.cpp's own arrays of tokens, written to through numpy."""

    def __init__(self, library: ModuleType, size: int) -> None:
        self._free = library.llama_batch_free
        self.native = library.llama_batch_init(size, 0, 1)
        self._tokens, self._positions, counts, self._wanted = (
            np.ctypeslib.as_array(field, (size,))
            for field in (self.native.token, self.native.pos, self.native.n_seq_id, self.native.logits)
        )
        counts[:] = 1

    def fill(self, tokens: list[tuple[int, int, int, bool]]) -> int:
        """Puts the tokens in; returns of how many the logits are wanted."""
        count = len(tokens)
        self.native.n_tokens = count
        ids, positions, sequences, wanted = zip(*tokens, strict=True)
        self._tokens[:count], self._positions[:count], self._wanted[:count] = ids, positions, wanted
        for at, sequence in enumerate(sequences):
            self.native.seq_id[at][0] = sequence
        return sum(wanted)

    def close(self) -> None:
        self._free(self.native)


def _library() -> ModuleType:
    """llama-cpp-python's plain functions. Raises UserError where it is not installed."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError: a library of another machine
        line = str(error).splitlines()[0]
        raise UserError(f"llama-cpp-python can't be imported ({line}); `make llama-cpp` builds it") from error
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # its levels are one off: a warning is ERROR
    found: ModuleType = llama_cpp
    return found


def _load(library: ModuleType, folder: Path, numbers: "Numbers") -> Any:
    """The model as llama.cpp holds it. Raises UserError as the export does."""
    from tasks.exporting.gguf import export_gguf
    from tasks.exporting.source import Told, read_source

    library.llama_backend_init()
    settings = library.llama_model_default_params()
    settings.use_mmap = False  # the file goes
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        file = Path(scratch) / "model.gguf"
        export_gguf(read_source(folder, name=folder.name, told=Told()), file, numbers=numbers)
        model = library.llama_model_load_from_file(os.fsencode(file), settings)
    if not model:
        raise UserError(f"{folder}: llama.cpp can't read its GGUF export")
    return model
