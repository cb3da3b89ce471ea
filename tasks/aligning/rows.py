"""Preference pairs and thumbs as `align` reads them: JSON Lines, each line checked, each mistake named by its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field

from tasks.chat import END_OF_TURN, encode_chats
from tasks.json_lines import read_lines
from tasks.stage import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.preferences.judged import Conversation

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Source = Literal["judge", "human", "correction"]
SOURCES: tuple[Source, ...] = get_args(Source)
R = TypeVar("R", bound="Row")


class Row(BaseModel):
    """A line. What it holds beside its own keys (`origin`, for tracing) is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    where: str = ""  # file and line, for messages; of no meaning in a line
    prompt: str = Field(min_length=1)
    weight: Weight  # how much it counts; the pairs of a ranking share one judgement's


class PairRow(Row):
    """Two answers to a prompt. cut: it ended because it was as long as it could be; its end is not taught."""

    id: str
    cluster: str  # near-duplicates of a prompt are one; it belongs to one split
    chosen: str = Field(min_length=1)
    rejected: str
    source: Source
    chosen_cut: bool = False
    rejected_cut: bool = False

    def asked_chosen(self) -> Asked:
        return Asked(self.prompt, self.chosen, self.chosen_cut, f"{self.where}: chosen")

    def asked_rejected(self) -> Asked:
        return Asked(self.prompt, self.rejected, self.rejected_cut, f"{self.where}: rejected")


class ThumbRow(Row):
    """One answer that somebody found good or bad."""

    answer: str = Field(min_length=1)
    desirable: bool
    cut: bool = False

    def asked(self) -> Asked:
        return Asked(self.prompt, self.answer, self.cut, self.where)


@dataclass(frozen=True)
class Asked:
    """A prompt, an answer to it, whether that was cut, and where it stands."""

    prompt: str
    answer: str
    cut: bool
    where: str


def read_pairs(path: Path) -> list[PairRow]:
    """Pairs. Raises UserError naming the line of what is none, and where there is none at all."""
    rows = list(_read(path, PairRow))
    for row in rows:
        if row.chosen.strip() == row.rejected.strip():
            raise UserError(f"{row.where}: chosen and rejected are the same text: nothing is preferred; leave it out")
    if not rows:
        raise UserError(
            f"{path}: no pair in it; the stage pair makes them: more prompts in `sample`, or a lower margin"
        )
    return rows


def read_thumbs(path: Path) -> list[ThumbRow]:
    """Thumbs, none where the file is empty or not there. Raises UserError naming the line of what is none."""
    return list(_read(path, ThumbRow)) if path.exists() else []


def refuse_shared_clusters(train: Sequence[PairRow], validation: Sequence[PairRow]) -> None:
    """Raises UserError where prompts of a cluster are in both splits: the accuracy would be learnt by heart."""
    known = {row.cluster for row in train}
    for row in validation:
        if row.cluster in known:
            raise UserError(
                f"{row.where}: the pair {row.id!r} is of the cluster {row.cluster!r}, which is in train.jsonl too; "
                "a cluster belongs to one of them"
            )


def without_too_long(codec: Tokenizer, rows: Sequence[PairRow], *, context: int) -> list[PairRow]:
    """Without corrections that the context can't hold: what a person wrote has no bound, and stays in its batch."""
    corrections = [row for row in rows if row.source == "correction"]
    chats = encode_chats(codec, [_messages(row.asked_chosen()) for row in corrections])
    gone = {row.where for row, chat in zip(corrections, chats, strict=True) if len(chat.ids) > context}
    return [row for row in rows if row.where not in gone]


def encode_answers(codec: Tokenizer, asked: Sequence[Asked], *, context: int) -> list[Conversation]:
    """Conversations, the end of each answer taught but where it was cut. Raises UserError where one is too long."""
    from model.preferences.judged import Conversation

    made = []
    for one, chat in zip(asked, encode_chats(codec, map(_messages, asked)), strict=True):
        last = len(chat.taught) - chat.taught[::-1].index(True)  # behind the end of the answer's turn
        assert chat.ids[last - 1] == END_OF_TURN
        stop = last - 1 if one.cut and sum(chat.taught) > 1 else last
        made.append(Conversation(ids=chat.ids[:stop], taught=chat.taught[:stop]))
        _refuse_too_long(made[-1], context, one.where)
    return made


def _messages(asked: Asked) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked.prompt}, {"role": "assistant", "content": asked.answer}]


def _refuse_too_long(conversation: Conversation, context: int, where: str) -> None:
    prompt, length = len(conversation.prompt), len(conversation.ids)
    if prompt >= context:
        raise UserError(
            f"{where}: the prompt of {prompt} tokens fills the context of {context}; shorten or leave it out"
        )
    if length > context:
        raise UserError(
            f"{where}: prompt and answer are {prompt} and {length - prompt} tokens, together more than the context of "
            f"{context}; shorten or leave it out"
        )


def _read(path: Path, kind: type[R]) -> Iterator[R]:
    for number, row in read_lines(path, kind.model_validate_json, what=f"a line of {path.name} as `pair` writes it"):
        yield row.model_copy(update={"where": f"{path}:{number}"})
