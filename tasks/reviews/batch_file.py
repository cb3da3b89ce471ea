"""A batch file: data/feedback/<batch>.jsonl, a decision of a person a line, and <batch>.manifest.json beside it.

Written once and never changed. Nobody's name is in it, and no time of day.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.json_lines import read_json, read_lines
from tasks.reviews.decisions import BOTH_BAD, LEVELS, TIE
from tasks.reviews.kinds import Kind, Purpose, Split, Values
from tasks.stage import Params, UserError

FEEDBACK = Path("data/feedback")
SUFFIX, MANIFEST_SUFFIX = ".jsonl", ".manifest.json"
SCHEMA_VERSION: Literal[1] = 1
SAME_END_WORDS = 3  # a correction that ends in as many words of what it corrects stops where that did


class Prompt(Params):
    """What was asked. task: story, summarization, ...; split: what its cluster may be used for."""

    id: str
    text: str
    document: str
    task: str
    cluster: str
    split: Split


class Answer(Params):
    """An answer that was shown. judged_item: tasks.judging.records.Item.id, which the judges' records go by."""

    generation: str
    judged_item: str
    text: str
    model: str
    model_version: str
    decoding: Values


class Feedback(Params):
    """A line: what a person decided.

    decision: in terms of generations, as tasks.reviews.decisions keeps it. sides: the generations in the order in
    which they were shown. judge: what a judge had said of the item before, {"judge": name, "winner" | "scores" |
    "tiers" | "status": ...}; empty where none had.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    batch: str
    item: str
    annotation: int
    kind: Kind
    purpose: Purpose
    prompt: Prompt
    answers: tuple[Answer, ...] = Field(min_length=1)
    decision: Values
    sides: tuple[str, ...]
    reviewer: str  # a pseudonym
    milliseconds: int = Field(ge=0)
    day: date
    judge: Values

    @property
    def is_for_training(self) -> bool:
        """Whether a model may learn from it."""
        return self.purpose == "ordinary" and self.prompt.split == "train"

    @property
    def origin(self) -> Values:
        """Who said it and where it stands, for `fledgling trace`."""
        return {"batch": self.batch, "annotation": self.annotation, "reviewer": self.reviewer}

    @property
    def cut(self) -> frozenset[str]:
        """The texts that ended because they were as long as they could be, and a correction that ends like one."""
        texts = [answer.text for answer in self.answers if answer.decoding.get("cut")]
        written = str(self.decision["text"]) if self.kind == "correction" else ""
        ends = [text.split()[-SAME_END_WORDS:] for text in texts]
        return frozenset([*texts, written] if written.split()[-SAME_END_WORDS:] in ends else texts)

    @property
    def generations(self) -> tuple[str, ...]:
        return tuple(answer.generation for answer in self.answers)

    @property
    def line(self) -> str:
        """As it stands in the file: sorted keys, so that the same decision always has the same bytes."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True) + "\n"

    @model_validator(mode="after")
    def _is_whole(self) -> "Feedback":
        if sorted(self.sides) != sorted(self.generations):
            raise ValueError(f"sides hold each of the answers {', '.join(self.generations)} once; got {self.sides}")
        if not is_decision(self.kind, self.decision, self.generations):
            raise ValueError(f"not a decision on a {self.kind} of these answers: {self.decision}")
        return self


class LeftOut(Params):
    """Answers of a reviewer who fails a check of quality: kept in the database, not in the file."""

    reviewer: str
    rows: int
    reason: str


class Manifest(Params):
    """What a batch file holds, and the hash that says that it still does."""

    schema_version: Literal[1] = SCHEMA_VERSION
    batch: str
    number: int = Field(ge=1)  # 1, and more where answers came after the first collection
    file: str
    sha256: str  # of the file
    rows: int
    source: str  # labelled, judged, gated, label-studio
    published: date
    collected: date
    kinds: dict[str, int]
    tasks: dict[str, int]
    splits: dict[str, int]
    purposes: dict[str, int]
    reviewers: dict[str, int]
    judges: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    agreement: Values  # of people with each other, by kind of item; empty where nobody saw what another did
    settings: Values

    @property
    def text(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    @property
    def hash(self) -> str:
        """SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def text_of(rows: Sequence[Feedback]) -> str:
    """A batch file: a line for each, in the order of the annotations."""
    return "".join(row.line for row in sorted(rows, key=lambda row: row.annotation))


def read_batch(path: Path) -> list[Feedback]:
    """The decisions of a file. Raises UserError naming the line of what is none."""
    what = "a decision as `fledgling review collect` writes it"
    return [row for _, row in read_lines(path, Feedback.model_validate_json, what=what)]


def read_manifest(path: Path) -> Manifest:
    """The manifest of a batch file, by the path of either. Raises UserError where there is none, or it is broken."""
    path = manifest_of(path) if path.suffix == SUFFIX else path
    return read_json(path, Manifest, what="a manifest of a batch file")


def manifest_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(SUFFIX) + MANIFEST_SUFFIX)


def read_folder(folder: Path = FEEDBACK) -> list[Feedback]:
    """The decisions of all batch files, in the order of the files' names; none where there is no file.

    Raises UserError where a file is missing or not the one that its manifest names, or an annotation is in two.
    """
    for manifest in sorted(folder.glob(f"*{MANIFEST_SUFFIX}")):
        file = manifest.with_name(manifest.name.removesuffix(MANIFEST_SUFFIX) + SUFFIX)
        if not file.exists():  # git brings the manifest, DVC the file
            raise UserError(f"{file}: is missing, its manifest is there; `dvc pull` brings it")
    found: dict[tuple[str, int], str] = {}
    rows = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        check(path)
        for row in read_batch(path):
            before = found.setdefault((row.batch, row.annotation), path.name)
            if before != path.name:
                raise UserError(f"{path}: annotation {row.annotation} is in {before} too; each is in one file")
            rows.append(row)
    return rows


def check(path: Path) -> None:
    """Raises UserError where a batch file does not hold the bytes that its manifest names."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != read_manifest(path).sha256:
        raise UserError(f"{path}: not what {manifest_of(path).name} says it is; `dvc checkout` brings it back")


def is_decision(kind: Kind, decision: Mapping[str, Any], generations: Sequence[str]) -> bool:
    """Whether it is a decision on an item of this kind that shows these answers."""
    return _DECIDES[kind](decision, generations)


def _is_choice(decision: Mapping[str, Any], generations: Sequence[str]) -> bool:
    return len(generations) == 2 and decision.get("winner") in (*generations, TIE, BOTH_BAD)


def _is_ranking(decision: Mapping[str, Any], generations: Sequence[str]) -> bool:
    tiers = decision.get("tiers")
    if not isinstance(tiers, list) or not all(isinstance(tier, list) and tier for tier in tiers):
        return False
    return sorted(str(one) for tier in tiers for one in tier) == sorted(generations)


def _is_rating(decision: Mapping[str, Any], generations: Sequence[str]) -> bool:
    scores = decision.get("scores")
    return isinstance(scores, dict) and bool(scores) and all(level in LEVELS for level in scores.values())


def _is_correction(decision: Mapping[str, Any], generations: Sequence[str]) -> bool:
    text = decision.get("text")
    return isinstance(text, str) and bool(text.strip())


_DECIDES = {"choice": _is_choice, "ranking": _is_ranking, "rating": _is_rating, "correction": _is_correction}
