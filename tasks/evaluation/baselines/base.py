"""What a baseline is."""

from collections.abc import Sequence
from typing import Protocol

from tasks.evaluation.intervals import Floats
from tasks.evaluation.rows import Row


class Baseline(Protocol):
    """Something that answers a task's rows without a language model.

    `name` is the prefix of its figures; `how` says in a few words how it came about (what was tuned to what).
    """

    name: str
    how: str

    def answers(self, rows: Sequence[Row]) -> list[str]:
        """One answer a row."""

    def probabilities(self, rows: Sequence[Row]) -> Floats | None:
        """(rows, classes) in the order of the sorted labels of the training rows; None where there are none."""
