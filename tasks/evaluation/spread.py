"""Some of many, evenly spread over them."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread, the first among them."""
    step = max(1.0, len(values) / most)
    return [values[int(at * step)] for at in range(min(most, len(values)))]
