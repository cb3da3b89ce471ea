"""What a story of the storybook is: its text and what the four tasks need to know of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tasks.stage import UserError, mistake_in

Feeling = Literal["sad", "scared", "angry", "lonely", "jealous", "sorry", "proud", "curious"]
Theme = Literal[
    "friendship", "kindness", "courage", "honesty", "patience", "sharing",
    "family", "nature", "curiosity", "helping", "perseverance", "imagination",
]  # fmt: skip
Feature = Literal["dialogue", "conflict", "twist", "foreshadowing", "moral", "bad ending"]

WRITTEN = Path(__file__).parent / "written"
WORDS_IN_A_STORY = (110, 210)  # 120-200 with a little room for how a word is counted

_loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Frozen):
    question: str
    answer: str | None  # None: the story does not say


class Translation(_Frozen):
    english: str  # a sentence of the story, word for word
    swedish: str


class Story(_Frozen):
    """One story with its annotations.

    `feeling` is the strongest feeling of the main character at the turn of the story, `turn` the
    paragraph in which it shows; `plan` names what a generated story was told from (stories of one plan
    never straddle a split).
    """

    id: str
    title: str
    text: str
    split: Literal["train", "holdout"] = "train"
    theme: Theme
    feeling: Feeling
    features: tuple[Feature, ...]
    words: tuple[str, ...]
    moral: str
    summary: str
    questions: tuple[Question, ...]
    swedish: tuple[Translation, ...] = ()
    turn: str = ""
    plan: str = ""

    @model_validator(mode="after")
    def _annotations_fit_the_text(self) -> "Story":
        text = " ".join(self.text.split())
        for word in self.words:
            if not re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE):
                raise ValueError(f"word {word!r} does not stand in the text")
        if " ".join(self.turn.split()) not in text:
            raise ValueError(f"the turn {self.turn[:40]!r} does not stand in the text")
        for pair in self.swedish:
            if " ".join(pair.english.split()) not in text:
                raise ValueError(f"translated sentence {pair.english!r} does not stand in the text")
        return self


def written_stories(folder: Path = WRITTEN) -> Iterator[Story]:
    """The stories written for this project, file by file in the order of their names.

    Raises UserError naming the file, the story and the field where a story is not well formed.
    """
    for path in sorted(folder.glob("*.yaml")):
        yield from read_stories(path)


def read_stories(path: Path) -> Iterator[Story]:
    """The stories of one YAML file (a list of stories). Raises UserError as `written_stories`."""
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader)  # noqa: S506
    for entry in entries:
        try:
            yield Story.model_validate(entry)
        except ValidationError as error:
            name = entry.get("id", "?") if isinstance(entry, dict) else "?"
            raise UserError(f"{path}: story {name}: {mistake_in(error)}") from None
