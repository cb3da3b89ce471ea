"""How a model answers the rows of a task: by the chat template, or as a base model with k examples in its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from tasks.chat import END_OF_TURN, encode_questions, is_taught_to_chat
from tasks.evaluation.intervals import Floats
from tasks.evaluation.rows import Row, request
from tasks.evaluation.task_scores import wants_a_story
from tasks.stage import Params, UserError
from tasks.tokenizer_kinds import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder

ANSWER = "\nAnswer:"  # what a base model, which knows no chat, is asked with


class MaxTokens(Params):
    """How long an answer may be, by the kind of task; a story by `wants_a_story`."""

    summarization: int = Field(ge=1)
    translation: int = Field(ge=1)
    assistant: int = Field(ge=1)
    story: int = Field(ge=1)


class AnsweringParams(Params):
    """How much a model may say, and what it is shown."""

    shots: int = Field(ge=1)  # examples in a base model's prompt, as many of them as fit the context
    max_tokens: MaxTokens
    story_temperature: float = Field(ge=0)  # of story requests
    temperature: float = Field(ge=0)  # of everything else; 0 takes the likeliest token
    top_p: float = Field(gt=0, le=1)  # the least probable tokens beyond this share are never drawn
    batch: int = Field(ge=1)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What somebody answered to the rows of a task. probabilities: (rows, labels) of a classification.

    cut: the places of answers that ended because they were as long as they could be.
    """

    by: str
    texts: list[str]
    cut: frozenset[int] = frozenset()
    probabilities: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Respondent:
    """A model with a way of asking it. shots: 0 for a chat model and for a base model without examples."""

    name: str
    model: Decoder
    tokenizer: Tokenizer
    params: AnsweringParams
    chat: bool
    shots: int = 0
    seed: int = 1

    def answer(self, kind: str, rows: Sequence[Row], train: Sequence[Row]) -> Answers:
        """Answers to the rows; train: the task's training rows, for examples and for the labels there are."""
        if kind == "classification":
            return self._classify(rows, train)
        texts = [""] * len(rows)
        cut: set[int] = set()
        plan = ((False, kind, self.params.temperature), (True, "story", self.params.story_temperature))
        for of_stories, limit, temperature in plan:
            places = [at for at, row in enumerate(rows) if wants_a_story(row) == of_stories]
            alike = [row for row in train if wants_a_story(row) == of_stories]  # a story is shown stories
            examples = self._examples(alike)
            told = self._generate([rows[at] for at in places], examples, limit=limit, temperature=temperature)
            for at, (text, is_cut) in zip(places, told, strict=True):
                texts[at] = text
                cut.update({at} if is_cut else ())
        return Answers(by=self.name, texts=texts, cut=frozenset(cut))

    def _classify(self, rows: Sequence[Row], train: Sequence[Row]) -> Answers:
        """The likeliest label, its end included, so that no label is favoured for being short."""
        from model.scoring import continuation_bits

        said = {str(row["label"]): str(row["answer"]) for row in reversed(train)}
        labels = sorted(said)
        candidates = [self._continuation(said[label]) for label in labels]
        room = max(map(len, candidates))
        examples = self._examples(train)
        prompts = [self._prompt(row, examples, room=room) for row in rows]
        bits = continuation_bits(self.model, prompts, [candidates] * len(rows), batch=self.params.batch)
        costs = np.array([[one.sum() for one in row] for row in bits], dtype=np.float64)
        likely = np.exp2(costs.min(axis=1, keepdims=True) - costs)
        return Answers(
            by=self.name,
            texts=[said[labels[at]] for at in costs.argmin(axis=1)],
            probabilities=likely / likely.sum(axis=1, keepdims=True),
        )

    def _generate(
        self, rows: Sequence[Row], examples: Sequence[Row], *, limit: str, temperature: float
    ) -> list[tuple[str, bool]]:
        """Texts, and whether each was cut."""
        from model.generation import Decoding, generate

        most = int(getattr(self.params.max_tokens, limit))
        decoding = Decoding(max_tokens=most, temperature=temperature, top_p=self.params.top_p)
        room = min(most, self.model.config.context // 2)  # where the context is small, a request still needs its half
        prompts = [self._prompt(row, examples, room=room) for row in rows]
        seeds = [self.seed + at for at in range(len(rows))]
        stop = (END_OF_TURN,) if self.chat else ()
        found = generate(self.model, prompts, decoding=decoding, seeds=seeds, stop=stop, batch=self.params.batch)
        told = [(str(self.tokenizer.decode(ids)).strip(), len(ids) >= most) for ids in found]
        if self.chat or limit == "story":
            return told
        return [
            (line.strip(), is_cut and not more) for text, is_cut in told for line, more, _ in [text.partition("\n")]
        ]

    def _prompt(self, row: Row, examples: Sequence[Row], *, room: int) -> list[int]:
        """Token ids that an answer of `room` tokens can follow; of examples as many as fit, of the request its end."""
        most = self.model.config.context - 1 - room  # 1: the end token in front
        if self.chat:
            return self._chat_prompt(request(row), most)
        own = self._encode(f"{request(row)}{ANSWER}")
        shown: list[int] = []
        for example in examples:
            more = self._encode(f"{request(example)}{ANSWER} {example['answer']}\n\n")
            if len(shown) + len(more) + len(own) <= most:
                shown += more
        return [*shown, *own][-most:]

    def _chat_prompt(self, content: str, most: int) -> list[int]:
        """The request as a user's turn; of what is too long the beginning is cut off, the turn's header stays."""
        content = content.strip()
        while True:
            ids = encode_questions(self.tokenizer, [content])[0]
            over = len(ids) - most
            if over <= 0 or not content:
                return ids[-most:]
            starts = [start for start, _ in self.tokenizer.encode(content, add_special_tokens=False).offsets]
            cut = starts[over] if over < len(starts) else len(content)
            content = content[max(1, cut) :].strip()  # 1: bytes of one letter begin at one place

    def _continuation(self, answer: str) -> list[int]:
        if self.chat:
            return [*self._encode(answer), END_OF_TURN]
        return self._encode(f" {answer}\n")

    def _examples(self, train: Sequence[Row]) -> list[Row]:
        """Short training rows, drawn at random: long ones would leave no room for a second."""
        if not self.shots:
            return []
        short = sorted(train, key=_length)[: max(self.shots, len(train) // 4)]
        drawn = np.random.default_rng(self.seed).permutation(len(short))[: self.shots]
        return [short[at] for at in drawn]

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def load_decoder(folder: Path) -> Decoder:
    """A model folder's decoder in fp32. Raises UserError where it can't be read."""
    from model.checkpoint import load_model

    try:
        return load_model(folder)
    except ValueError as error:
        raise UserError(str(error)) from error


def _length(row: Row) -> tuple[int, str]:
    """Characters of a row as an example; its id, so that equally long ones have an order."""
    return len(request(row)) + len(str(row["answer"])), str(row["id"])


def respondents(folder: Path, model: Decoder, params: AnsweringParams, *, seed: int) -> list[Respondent]:
    """The ways to ask a model folder: by chat where it was taught to, else with no example and with some."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    taught = is_taught_to_chat(folder)
    way = Respondent(name=folder.name, model=model, tokenizer=tokenizer, params=params, chat=taught, seed=seed)
    if taught:
        return [way]
    return [
        replace(way, name=f"{folder.name}_few_shot", shots=params.shots),
        replace(way, name=f"{folder.name}_zero_shot"),
    ]
