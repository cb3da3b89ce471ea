"""The stories that a judge is examined on: held-out texts, each with a request that it answers."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.cleaning.words import split_words
from tasks.evaluation.constraints import check
from tasks.evaluation.language import STOP_WORDS
from tasks.judging.records import Item
from tasks.records import read_rows
from tasks.stage import UserError

REQUEST = "Write a story with the words {words}."
_ASKED_WORDS = 3


@dataclass(frozen=True, kw_only=True)
class Story:
    """A story as a person (or a source) wrote it, and the words that its request asks for."""

    id: str
    text: str
    words: tuple[str, ...]
    written_by_hand: bool = False
    summary: str = ""  # in one sentence; "" where none was written
    questions: tuple[tuple[str, str], ...] = ()  # those that the story answers, with their answers

    @property
    def item(self) -> Item:
        """The story as the answer to its request."""
        asked = ", ".join(self.words)
        return Item(
            prompt_id=f"examination-{self.id}", kind="story", prompt=REQUEST.format(words=asked), answer=self.text,
            by="real", constraints={"words": list(self.words)},
        )  # fmt: skip

    def meets_request(self, answer: str) -> bool:
        """Whether an answer uses every word that was asked for."""
        kept = check(answer, {"words": list(self.words)})
        return kept.total_met == kept.total_asked


def read_stories(clean: Path, splits: Sequence[str], *, most: int, seed: int) -> list[Story]:
    """Up to `most` stories of each split, drawn by the seed, in the order of the splits.

    The words of a request are those of the annotations; where there are none, rare words of the story. Raises
    UserError naming the file where a split is missing or all of them are empty.
    """
    rows: list[tuple[str, dict[str, object]]] = []
    for split in splits:
        path = clean / f"{split}.parquet"
        if not path.exists():
            raise UserError(f"{path}: no such file; calibrate.examination.splits names splits that prepare writes")
        own = [(split, row) for row in read_rows(path, ["id", "text", "source", "annotations"])]
        rows += random.Random(f"{seed} {split}").sample(own, min(most, len(own)))  # noqa: S311 - draws stories
    if not rows:
        raise UserError(f"{clean}: the splits {', '.join(splits)} hold no story to examine a judge on")
    return _with_requests(rows)


def _with_requests(rows: Sequence[tuple[str, dict[str, object]]]) -> list[Story]:
    counted: Counter[str] = Counter()
    for _, row in rows:
        counted.update(set(split_words(str(row["text"]))))
    found = []
    for split, row in rows:
        text = str(row["text"])
        about = json.loads(str(row["annotations"]))
        words = tuple(map(str, about.get("words", ()))) or rare_words(text, counted)
        story = Story(
            id=str(row["id"]), text=text, words=words, written_by_hand=split == "written" or _by_hand(row["source"]),
            summary=str(about.get("summary", "")), questions=_answerable(about.get("questions", ())),
        )  # fmt: skip
        if words and story.meets_request(text):
            found.append(story)
    return found


def _by_hand(source: object) -> bool:
    return source in ("storybook-written", "storybook-holdout")


def _answerable(questions: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(one["question"]), str(one["answer"])) for one in questions if one["answer"] is not None)


def rare_words(text: str, counted: Counter[str]) -> tuple[str, ...]:
    """The words of a story that the fewest others have, but not it alone where there is a choice: names are such."""
    plain = {
        word
        for word in split_words(text)
        if word.isascii() and word.isalpha() and 4 <= len(word) <= 9 and word not in STOP_WORDS and f" {word}" in text
    }
    shared = sorted(plain, key=lambda word: (counted[word] == 1, counted[word], word))
    return tuple(shared[:_ASKED_WORDS])
