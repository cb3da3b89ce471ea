"""How a model came out against the others, read back from the figures of the stages `judge` and `calibrate`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.judging.comparing.board import outcome
from tasks.judging.report.scorecard import may_not_decide


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
        """wins, loses or level."""
        return outcome(self.low, self.high)

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


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the accepting judge (name@hash) says of a model, and the axes on which its own examination failed."""

    judge: str
    coverage: float
    against: tuple[Against, ...]
    may_not_decide: tuple[str, ...]


def read_judged(
    figures: Mapping[str, Any], scorecard: Mapping[str, Any], model: str, others: Iterable[str]
) -> Judged | None:
    """What was said of a model, beside each of the others that it was compared with; None where nothing was judged.

    figures, scorecard: of the stages `judge` and `calibrate`.
    """
    judge = figures.get("judge")
    if judge is None:
        return None
    return Judged(
        judge=judge,
        coverage=figures["judge_coverage"],
        against=tuple(read_against(figures, model, others)),
        may_not_decide=tuple(may_not_decide(scorecard, judge)),
    )


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
