"""One example of the mixture, its columns and the normal form that copies are known by."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from tasks.cleaning.words import split_words, text_hash
from tasks.records import MODEL_SPLITS

SPLITS = MODEL_SPLITS

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # first 16 hex digits of the SHA-256 of the task and the messages
        ("task", pa.string()),
        ("kind", pa.string()),  # classification, summarization, translation, assistant
        ("source", pa.string()),
        ("licence", pa.string()),
        ("origin", pa.string()),  # "storybook", a file, a hub name, "self-instruct: MODEL", "feedback: .."
        ("group", pa.string()),  # what must not straddle a split
        ("messages", pa.string()),  # JSON: [{"role", "content"}], the answer last
        ("answer", pa.string()),
        ("references", pa.string()),  # JSON: all acceptable answers, `answer` first; none where there is no answer
        ("document", pa.string()),  # what the request is about, or ""
        ("label", pa.string()),  # classification only
        ("constraints", pa.string()),  # JSON: {"words": [..], "sentence": "..", "length": [least, most]}
        ("answerable", pa.bool_()),  # false: the document does not say
        ("aspect", pa.string()),  # what kind of request within the task
    ]
)
REJECTED_SCHEMA = pa.schema([*SCHEMA, ("reason", pa.string()), ("detail", pa.string())])

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)  # made once: `json.dumps` makes one a call
_PLAIN = [name for name in SCHEMA.names if name not in ("messages", "references", "constraints")]
_LONGEST_GROUP = 60  # characters: what is longer goes by its hash


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request and its answer.

    place: where it was read. keys: normal forms of what a copy in another split would share with it. asked:
    the values that the template was filled with.
    """

    task: str
    kind: str
    source: str
    licence: str
    origin: str
    group: str
    split: str
    place: str
    prompt: str
    answer: str
    document: str = ""
    label: str = ""
    constraints: dict[str, Any] = field(default_factory=dict)
    answerable: bool = True
    aspect: str = ""
    keys: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    has_answer: bool = True
    is_outside: bool = False  # not from our own stories: the safety policy applies
    is_cut: bool = False  # the answer was as long as it could be: its end is not taught
    weight: float = 1.0  # expected appearances in an epoch

    @cached_property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.answer}]

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(f"{self.task}\n{_json(self.messages)}".encode()).hexdigest()[:16]

    @cached_property
    def row(self) -> dict[str, object]:
        """The example as a row of `SCHEMA`."""
        references = self.references or ((self.answer,) if self.has_answer else ())
        plain = {name: getattr(self, name) for name in _PLAIN}
        made = {"messages": self.messages, "references": list(references), "constraints": self.constraints}
        return {**plain, **{name: _json(value) for name, value in made.items()}}


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """An example that was left out and why."""

    example: Example
    reason: str
    detail: str

    def row(self) -> dict[str, object]:
        return {**self.example.row, "reason": self.reason, "detail": self.detail}


def normal(text: str) -> str:
    """The words of a text: case, punctuation and white space don't count."""
    return " ".join(split_words(text)) or " ".join(text.split())


def group_name(value: str) -> str:
    """The normal form of what must not straddle a split; of a long text its hash."""
    words = normal(value)
    return words if len(words) <= _LONGEST_GROUP else f"{text_hash(split_words(value)):016x}"


def _json(value: object) -> str:
    return _ENCODER.encode(value)
