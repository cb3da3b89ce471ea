"""Minimal pairs: two sentences alike but for one fault of grammar."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tasks.evaluation.spread import spread
from tasks.json_lines import json_object, read_lines
from tasks.stage import UserError


@dataclass(frozen=True, kw_only=True)
class MinimalPair:
    """A right sentence, the same with a fault, and the phenomenon (or "")."""

    good: str
    bad: str
    phenomenon: str = ""


def builtin_pairs(count: int, *, seed: int) -> list[MinimalPair]:
    """Pairs of the storybook's register, balanced over its phenomena."""
    from tasks.storybook.grammar import minimal_pairs

    found = islice(minimal_pairs(seed=seed, count=count), count)
    return [MinimalPair(good=good, bad=bad, phenomenon=phenomenon) for good, bad, phenomenon in found]


def read_pairs(path: Path, *, most: int) -> list[MinimalPair]:
    """Up to `most` pairs of a .jsonl or .jsonl.gz file, evenly spread over it.

    Raises UserError naming the file and the line where there is no pair.
    """
    pairs = list(_pairs(path))
    if not pairs:
        raise UserError(f"{path}: holds no pair")
    return spread(pairs, most)


def _pairs(path: Path) -> Iterator[MinimalPair]:
    if not path.exists():
        raise UserError(f"{path}: no such file of minimal pairs (evaluate.grammar_files)")
    for _, pair in read_lines(path, _pair, what='an object with "good" and "bad", both text'):
        yield pair


def _pair(line: bytes) -> MinimalPair:
    row = json_object(line)
    if not isinstance(row["good"], str) or not isinstance(row["bad"], str):
        raise ValueError("one of them is none")
    return MinimalPair(good=row["good"], bad=row["bad"], phenomenon=str(row.get("phenomenon", "")))
