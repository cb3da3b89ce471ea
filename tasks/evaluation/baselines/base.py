"""What a baseline is, and what it reads of a row of the mixture."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tasks.evaluation.intervals import Floats

Row = Mapping[str, Any]  # a row of the mixture


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


def source_text(row: Row) -> str:
    """The text that is asked about, else the whole request."""
    return str(row.get("document") or "") or request(row)


def request(row: Row) -> str:
    """What the user says before the answer, all turns of it."""
    held = row["messages"]
    messages = json.loads(held) if isinstance(held, str) else held
    return "\n".join(str(message["content"]) for message in messages[:-1] if message["role"] == "user")


def question(row: Row) -> str:
    """The request without the document that it quotes."""
    document = str(row.get("document") or "")
    asked = request(row)
    return (asked.replace(document, " ") if document else asked).strip() or asked
