"""Examples from the clean stories and their annotations, in the splits that they have there."""

import heapq
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.mixing.declarations import PLAIN_VIEWS, MixParams, StorybookSource, TaskParams
from tasks.mixing.example import SPLITS, Example, group_name, normal
from tasks.mixing.templates import choose, columns_of, fill, number
from tasks.records import read_rows
from tasks.stage import UserError

SHORT, LONG = 135, 165  # words: a quarter of the generated stories each, the hand-written ones are long
ORIGIN = "storybook"

_OPENING = re.compile(r"[^.!?\n]{20,150}[.!?](?=\s)")  # a first sentence that says something, whole
_REQUESTS = ("story", "opening")
_TELLING = ("words", "sentence", "summary")  # of a request: a theme or a feeling says too little to be a copy


@dataclass(frozen=True)
class Story:
    """A clean story and what is known of it."""

    id: str
    text: str
    group: str
    split: str
    about_json: str

    @cached_property
    def about(self) -> dict[str, Any]:
        return dict(json.loads(self.about_json))


@dataclass(frozen=True)
class Item:
    """One thing to ask about a story: the values of the columns, the answer, and how a copy is known."""

    values: Mapping[str, str]
    answer: str
    document: str = ""
    group: str = ""
    label: str = ""
    answerable: bool = True
    keys: tuple[str, ...] = ()


def read_stories(clean: Path, *, plain: bool = False) -> list[Story]:
    """All clean stories that carry annotations, or all there are. Raises UserError where a split is not there."""
    stories = (story for split in SPLITS for story in _stories(clean / f"{split}.parquet", split))
    return [story for story in stories if plain or story.about_json != "{}"]


def _stories(path: Path, split: str) -> Iterator[Story]:
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage prepare makes it")
    for row in read_rows(path, ["id", "text", "group", "annotations"]):
        yield Story(
            id=str(row["id"]),
            text=str(row["text"]),
            group=str(row["group"]) or str(row["id"]),
            split=split,
            about_json=str(row["annotations"]),
        )


def storybook_examples(
    stories: Sequence[Story], source: StorybookSource, task: TaskParams, params: MixParams
) -> tuple[list[Example], int]:
    """The examples of a view of the stories, at most as many as the parameters allow, and how many there were.

    Which ones: those of the lowest hashes, so that every story is as likely as another.
    """
    examples: list[Example] = []
    available = 0
    for split in SPLITS:
        limit = source.examples if split == "train" else params.evaluation_examples[split]
        candidates = [
            (story, index) for story in stories if story.split == split for index in range(_count(story, source))
        ]
        available += len(candidates)
        if limit is not None and len(candidates) > limit:
            candidates = heapq.nsmallest(limit, candidates, key=lambda c: _rank(source.name, *c))
        examples += (_example(story, index, source, task) for story, index in candidates)
    return examples, available


def _count(story: Story, source: StorybookSource) -> int:
    """How many examples a story gives; a view of annotations none where there are none."""
    return _COUNTS[source.view](story) if story.about or source.view in PLAIN_VIEWS else 0


def _rank(name: str, story: Story, index: int) -> tuple[int, str, int]:
    return number(f"{name} {story.id} {index}"), story.id, index


def _example(story: Story, index: int, source: StorybookSource, task: TaskParams) -> Example:
    item = _ITEMS[source.view](story, index, source)
    place = f"story {story.id}"
    template = choose(source.templates, item.values, key=f"{source.name} {story.id} {index}")
    if template is None:
        raise UserError(f"task '{task.name}', {place}: the columns of every template are empty")
    used = {name: item.values[name] for name in columns_of(template)}
    return Example(
        task=task.name, kind=task.kind, source=source.name, licence=source.licence, origin=ORIGIN,
        group=item.group or story.group, split=story.split, place=place,
        prompt=fill(template, item.values), answer=item.answer.strip(), document=item.document, label=item.label,
        constraints=_constraints(used) if source.view in _REQUESTS else {},
        answerable=item.answerable, aspect=source.view,
        keys=item.keys or tuple(f"{name}: {normal(used[name])}" for name in _TELLING if name in used),
        asked=tuple(used.values()),
    )  # fmt: skip


def _constraints(used: Mapping[str, str]) -> dict[str, Any]:
    """What code can check of a story: only what the request really asked for."""
    found: dict[str, Any] = {}
    if "words" in used:
        found["words"] = used["words"].split(", ")
    if "sentence" in used:
        found["sentence"] = used["sentence"]
    if "length" in used:
        found["length"] = [1, SHORT] if used["length"] == "short" else [LONG, 1_000]
    return found


def _theme(story: Story) -> Item:
    value = str(story.about["theme"])
    return Item({"story": story.text}, value, document=story.text, label=value, keys=(normal(story.text),))


def _feeling(story: Story, source: StorybookSource) -> Item:
    value = str(story.about["feeling"])
    text = str(story.about.get("turn", "")) or story.text if source.passage else story.text
    return Item({"story": text}, value, document=text, label=value, keys=(normal(text),))


def _summary(story: Story) -> Item:
    return Item({"story": story.text}, story.about["summary"], document=story.text, keys=(normal(story.text),))


def _swedish(story: Story, index: int) -> Item:
    pair = story.about["swedish"][index]
    key = normal(pair["english"])
    return Item(
        {"sentence": pair["english"]}, pair["swedish"],
        document=pair["english"], group=group_name(pair["english"]), keys=(key,),
    )  # fmt: skip


def _question(story: Story, index: int, source: StorybookSource) -> Item:
    asked = story.about["questions"][index]
    text = _passage(story, asked["question"], asked["answer"]) if source.passage else story.text
    return Item(
        {"story": text, "question": asked["question"]},
        source.unknown_answer if asked["answer"] is None else asked["answer"],
        document=text, answerable=asked["answer"] is not None, keys=(normal(story.text),),
    )  # fmt: skip


def _passage(story: Story, question: str, answer: str | None) -> str:
    """The paragraph that holds the answer word for word, one by hash where there is none to hold, else the story."""
    paragraphs = story.text.split("\n\n")
    if answer is None:
        return paragraphs[number(f"{story.id} {question}") % len(paragraphs)]
    wanted = normal(answer)
    return next((paragraph for paragraph in paragraphs if f" {wanted} " in f" {normal(paragraph)} "), story.text)


def _story(story: Story) -> Item:
    """A request that the story answers. Its sentence is a translated one where there is one, else its shortest."""
    about = story.about
    words = len(story.text.split())
    values = {
        "words": ", ".join(about["words"]),
        "sentence": about["swedish"][0]["english"] if about["swedish"] else "",
        "feeling": about["feeling"],
        "theme": about["theme"],
        "summary": about["summary"],
        "length": "short" if words <= SHORT else "long" if words >= LONG else "",
    }
    return Item(values, story.text)


def _opening(story: Story) -> Item:
    """A request for the story that begins like this one."""
    found = _OPENING.match(story.text)
    assert found is not None, "counted before"
    return Item({"sentence": found[0]}, story.text)


_COUNTS: dict[str, Callable[[Story], int]] = {
    "feeling": lambda story: 1,
    "theme": lambda story: 1,
    "summary": lambda story: 1,
    "swedish": lambda story: len(story.about["swedish"]),
    "question": lambda story: len(story.about["questions"]),
    "story": lambda story: 1,
    "opening": lambda story: int(_OPENING.match(story.text) is not None),
}
_ITEMS: dict[str, Callable[[Story, int, StorybookSource], Item]] = {
    "feeling": lambda story, index, source: _feeling(story, source),
    "theme": lambda story, index, source: _theme(story),
    "summary": lambda story, index, source: _summary(story),
    "swedish": lambda story, index, source: _swedish(story, index),
    "question": _question,
    "story": lambda story, index, source: _story(story),
    "opening": lambda story, index, source: _opening(story),
}
