"""The mixture as token ids, in the form that `model.documents.read_documents` reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.documents import Document, token_dtype, write_documents
from tasks import stage
from tasks.chat import Rendered, encode_chats
from tasks.mixing.declarations import MixParams, StorybookSource
from tasks.mixing.example import Example, Rejected
from tasks.records import FEEDBACK_SOURCE
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
        """With the end of its turn, but for a cut one."""
        return sum(self.chat.taught)


def encode(examples: Sequence[Example], tokenizer: "Tokenizer") -> list[Encoded]:
    """Every example's conversation as token ids; the end of a cut answer is not taught."""
    chats = encode_chats(tokenizer, [example.messages for example in examples])
    return [
        Encoded(example, _without_end(chat) if example.is_cut else chat)
        for example, chat in zip(examples, chats, strict=True)
    ]


def _without_end(chat: Rendered) -> Rendered:
    last = len(chat.taught) - 1 - chat.taught[::-1].index(True)
    return Rendered(ids=chat.ids, taught=[*chat.taught[:last], *(False for _ in chat.taught[last:])])


def without_too_long(encoded: Sequence[Encoded], params: MixParams) -> tuple[list[Encoded], list[Rejected]]:
    """Leaves out what does not fit the context.

    Raises UserError for a row whose answer alone does not fit (unless bad rows are kept apart), and for a
    source most of whose rows do not; never for what people said, which nobody can change any more.
    """
    context = params.context_tokens
    ours = {s.name for task in params.tasks for s in task.sources if isinstance(s, StorybookSource)} | {FEEDBACK_SOURCE}
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
        if source == FEEDBACK_SOURCE:
            continue
        found = [one for one in rejected if one.example.source == source]
        total = sum(one.example.source == source for one in encoded)
        if len(found) / total >= params.too_long_share:
            raise UserError(
                f"task '{found[0].example.task}': source '{source}': {len(found)} of {total} examples do not fit "
                f"mix.context_tokens = {params.context_tokens}, the first is {found[0].detail}; 'shorten' names a "
                "column whose end may be cut"
            )


def write_tokens(folder: Path, encoded: Sequence[Encoded], tokenizer: "Tokenizer", tasks: Sequence[str]) -> None:
    """Writes the token files of the splits that are trained on: each conversation with END, what is taught its answer.

    The bytes are those of the answer.
    """
    dtype = token_dtype(tokenizer.get_vocab_size())
    sizes = {
        split: write_documents(
            folder,
            split,
            (_document(one, tasks) for one in encoded if one.example.split == split),
            dtype=dtype,
            conversations=True,
        )
        for split in TRAINED_ON
    }
    meta = {
        "dtype": dtype.name, "vocabulary_size": tokenizer.get_vocab_size(), "end_id": END, "splits": sizes,
        "tasks": list(tasks),
    }  # fmt: skip
    stage.write_text(folder / "meta.json", json.dumps(meta, indent=2, sort_keys=True) + "\n")


def _document(one: Encoded, tasks: Sequence[str]) -> Document:
    return Document(
        ids=[*one.chat.ids, END],
        weight=one.example.weight,
        size=len(one.example.answer.encode()),
        taught=[*one.chat.taught, False],
        task=tasks.index(one.example.task),
    )
