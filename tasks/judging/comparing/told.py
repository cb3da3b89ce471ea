"""How a model came out against the others, read back from the figures of metrics/judge.json."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Against:
    """A model's win rate against another one, over every kind of prompt; controlled: at equal lengths, where known."""

    model: str
    other: str
    win_rate: float
    low: float
    high: float
    controlled: float | None
    verdicts: int

    @property
    def outcome(self) -> str:
        """wins or loses where the interval leaves one half out."""
        if self.low > 0.5:
            return "wins"
        return "loses" if self.high < 0.5 else "level"

    @property
    def figures(self) -> str:
        """The win rate with its interval, in words."""
        equal = "" if self.controlled is None else f", {self.controlled:.1%} at equal lengths"
        return f"{self.win_rate:.1%} [{self.low:.1%}, {self.high:.1%}] of {self.verdicts} verdicts{equal}"

    @property
    def line(self) -> str:
        """Who wins, and by how much."""
        verb = {"wins": "beats", "loses": "loses to", "level": "is level with"}[self.outcome]
        return f"{self.model} {verb} {self.other}: {self.figures}"


def read_against(figures: Mapping[str, Any], model: str, others: Iterable[str]) -> list[Against]:
    """How a model stands to each of the others that it was compared with and that there is a verdict on."""
    found: list[Against] = []
    for other in others:
        start = f"{model}_vs_{other}"
        rate, low, high = (figures.get(f"{start}_win_rate{end}") for end in ("", "_low", "_high"))
        if rate is not None and low is not None and high is not None:
            found.append(
                Against(
                    model=model,
                    other=other,
                    win_rate=rate,
                    low=low,
                    high=high,
                    controlled=figures.get(f"{start}_length_controlled_win_rate"),
                    verdicts=figures.get(f"{start}_verdicts", 0),
                )
            )
    return found
