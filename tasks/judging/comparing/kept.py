"""A judge's records as the stages keep them, JSON Lines, read back."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tasks.judging.records import Grade, PairRecord, RankRecord, ScoreRecord
from tasks.stage import UserError

R = TypeVar("R")


def read_scores(path: Path) -> list[ScoreRecord]:
    """Grades by answer. Raises UserError naming the line of what is none."""
    return list(_records(path, _score))


def read_pairs(path: Path) -> list[PairRecord]:
    """Pairwise verdicts. Raises UserError naming the line of what is none."""
    return list(_records(path, lambda values: PairRecord(**{**values, "orders": tuple(values["orders"])})))


def read_rankings(path: Path) -> list[RankRecord]:
    """Partial orders. Raises UserError naming the line of what is none."""
    return list(_records(path, _ranking))


def _score(values: Mapping[str, Any]) -> ScoreRecord:
    return ScoreRecord(**{**values, "grades": {axis: Grade(**grade) for axis, grade in values["grades"].items()}})


def _ranking(values: Mapping[str, Any]) -> RankRecord:
    return RankRecord(**{**values, "items": tuple(values["items"]), "tiers": tuple(map(tuple, values["tiers"]))})


def _records(path: Path, read: Callable[[Mapping[str, Any]], R]) -> Iterator[R]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: a text may hold other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            record = read(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}:{number}: not a judge's record: {error}") from None
        yield record
