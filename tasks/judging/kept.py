"""Answers and what a judge said of them as the stages keep them: JSON Lines, written and read back."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from tasks.json_lines import json_object, read_lines
from tasks.judging.records import Grade, Item, PairRecord, RankRecord, ScoreRecord
from tasks.stage import write_text

R = TypeVar("R")


def write_lines(path: Path, values: Iterable[Item | ScoreRecord | PairRecord | RankRecord]) -> None:
    """A line for each; an answer's also has its id."""
    write_text(path, "".join(json.dumps(_line(value), ensure_ascii=False) + "\n" for value in values))


def _line(value: Item | ScoreRecord | PairRecord | RankRecord) -> dict[str, Any]:
    return ({"id": value.id} if isinstance(value, Item) else {}) | asdict(value)


def read_items(path: Path) -> list[Item]:
    """Answers. Raises UserError naming the line of what is none."""
    return _records(path, _item, what="an answer")


def read_scores(path: Path) -> list[ScoreRecord]:
    """Grades by answer. Raises UserError naming the line of what is none."""
    return _records(path, _score)


def read_pairs(path: Path) -> list[PairRecord]:
    """Pairwise verdicts. Raises UserError naming the line of what is none."""
    return _records(path, lambda values: PairRecord(**{**values, "orders": tuple(values["orders"])}))


def read_rankings(path: Path) -> list[RankRecord]:
    """Partial orders. Raises UserError naming the line of what is none."""
    return _records(path, _ranking)


def _item(values: Mapping[str, Any]) -> Item:
    own = dict(values)
    own.pop("id")
    return Item(**{**own, "references": tuple(own["references"])})


def _score(values: Mapping[str, Any]) -> ScoreRecord:
    return ScoreRecord(**{**values, "grades": {axis: Grade(**grade) for axis, grade in values["grades"].items()}})


def _ranking(values: Mapping[str, Any]) -> RankRecord:
    return RankRecord(**{**values, "items": tuple(values["items"]), "tiers": tuple(map(tuple, values["tiers"]))})


def _records(path: Path, read: Callable[[Mapping[str, Any]], R], *, what: str = "a judge's record") -> list[R]:
    lines = read_lines(path, lambda line: read(json_object(line)), what=f"{what} as the stages write it")
    return [record for _, record in lines]
