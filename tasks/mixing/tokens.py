"""The mixture as token ids, in the form that `model.batches.read_documents` reads.

Letters: D conversations, N tokens of a split.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks import stage
from tasks.chat import Rendered, encode_chats
from tasks.mixing.declarations import MixParams, StorybookSource
from tasks.mixing.example import Example, Rejected
from tasks.stage import UserError
from tasks.tokenizer_kinds import END

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TRAINED_ON = ("train", "validation")


@dataclass(frozen=True)
class Encoded:
    """An example and its conversation as token ids, without the end token."""

    example: Example
    chat: Rendered

    @property
    def tokens(self) -> int:
        """With the end token."""
        return len(self.chat.ids) + 1

    @property
    def answer_tokens(self) -> int:
        """With the end of its turn."""
        return sum(self.chat.taught)


def encode(examples: Sequence[Example], tokenizer: "Tokenizer") -> list[Encoded]:
    """Every example's conversation as token ids."""
    chats = encode_chats(tokenizer, [example.messages for example in examples])
    return [Encoded(example, chat) for example, chat in zip(examples, chats, strict=True)]


def without_too_long(encoded: Sequence[Encoded], params: MixParams) -> tuple[list[Encoded], list[Rejected]]:
    """Leaves out what does not fit the context.

    Raises UserError for a row whose answer alone does not fit (unless bad rows are kept apart), and for a
    source most of whose rows do not.
    """
    context = params.context_tokens
    ours = {s.name for task in params.tasks for s in task.sources if isinstance(s, StorybookSource)}
    kept: list[Encoded] = []
    rejected: list[Rejected] = []
    for one in encoded:
        if one.tokens <= context:
            kept.append(one)
            continue
        if one.answer_tokens > context and params.bad_rows == "stop" and one.example.source not in ours:
            raise UserError(
                f"task '{one.example.task}': {one.example.place}: the answer has {one.answer_tokens} tokens, more than "
                f"mix.context_tokens = {context} (mix.bad_rows: 'keep apart' goes on without such rows)"
            )
        told = f"{one.example.place}: {one.tokens} tokens, at most {context}"
        rejected.append(Rejected(example=one.example, reason="too_long", detail=told))
    _refuse_mostly_too_long(encoded, rejected, params)
    return kept, rejected


def _refuse_mostly_too_long(encoded: Sequence[Encoded], rejected: Sequence[Rejected], params: MixParams) -> None:
    for source in dict.fromkeys(found.example.source for found in rejected):
        found = [one for one in rejected if one.example.source == source]
        total = sum(one.example.source == source for one in encoded)
        if len(found) / total >= params.too_long_share:
            raise UserError(
                f"task '{found[0].example.task}': source '{source}': {len(found)} of {total} examples do not fit "
                f"mix.context_tokens = {params.context_tokens}, the first is {found[0].detail}; 'shorten' names a "
                "column whose end may be cut"
            )


def write_tokens(folder: Path, encoded: Sequence[Encoded], tokenizer: "Tokenizer", tasks: Sequence[str]) -> None:
    """Writes the splits that are trained on, and meta.json.

    For each split: SPLIT.bin (little-endian ids, each conversation closed by END), .offsets.npy (int64, D + 1),
    .weights.npy (float32, D: all 1), .bytes.npy (int64, D: UTF-8 bytes of the answer, what is taught),
    .taught.npy (uint8, N: 1 where a token is a target) and .tasks.npy (int16, D: index into meta's "tasks").
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype("<u2" if tokenizer.get_vocab_size() <= 1 << 16 else "<u4")
    sizes = {
        split: _write_split(folder, split, [one for one in encoded if one.example.split == split], dtype, tasks)
        for split in TRAINED_ON
    }
    meta = {
        "dtype": dtype.name, "vocabulary_size": tokenizer.get_vocab_size(), "end_id": END, "splits": sizes,
        "tasks": list(tasks),
    }  # fmt: skip
    stage.write_text(folder / "meta.json", json.dumps(meta, indent=2, sort_keys=True) + "\n")


def _write_split(
    folder: Path, split: str, encoded: Sequence[Encoded], dtype: "np.dtype[np.unsignedinteger]", tasks: Sequence[str]
) -> dict[str, int]:
    ids = np.array([token for one in encoded for token in (*one.chat.ids, END)], dtype)
    taught = np.array([flag for one in encoded for flag in (*one.chat.taught, False)], np.uint8)
    lengths = np.array([one.tokens for one in encoded], np.int64)
    sizes = np.array([len(one.example.answer.encode()) for one in encoded], np.int64)
    ids.tofile(folder / f"{split}.bin")
    np.save(folder / f"{split}.offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    np.save(folder / f"{split}.weights.npy", np.ones(len(encoded), np.float32))
    np.save(folder / f"{split}.bytes.npy", sizes)
    np.save(folder / f"{split}.taught.npy", taught)
    np.save(folder / f"{split}.tasks.npy", np.array([tasks.index(one.example.task) for one in encoded], np.int16))
    return {
        "documents": len(encoded),
        "tokens": len(ids),
        "bytes": int(sizes.sum()),
        "taught_tokens": int(taught.sum()),
    }
