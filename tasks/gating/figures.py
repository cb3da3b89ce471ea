"""A model's figures of the hold-out, what they were measured on, and how two models' figures differ."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.gating.params import MarginParams
from tasks.judging.comparing.rates import bounded_mean
from tasks.judging.records import Item, ScoreRecord, short_hash
from tasks.judging.rubric import LEVELS
from tasks.records import read_rows
from tasks.stage import UserError

BITS = ("test_bits_per_byte", "written_bits_per_byte")
SPLITS = ("test", "written")
SAME = 1e-9  # what rounding may do

Figures = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of the candidate beside the opponent's; margin: by how much it may be worse.

    interval: of the difference, where it is known by prompt; items: what the two were measured on together.
    """

    name: str
    candidate: float
    opponent: float
    margin: float
    lower_is_better: bool = False
    interval: Score | None = None

    @property
    def value(self) -> float:
        return self.candidate - self.opponent

    @property
    def is_beyond(self) -> bool:
        """Worse by more than the margin."""
        worse = self.value if self.lower_is_better else -self.value
        return worse > self.margin + SAME

    @property
    def told(self) -> str:
        """In words, for a reason."""
        way = "higher" if self.value > 0 else "lower"
        name = self.name.replace("_", " ")
        return (
            f"{name} is {abs(self.value):.3g} {way} ({self.candidate:.4g}, {self.opponent:.4g}); "
            f"the margin is {self.margin:g}"
        )


def figures_of(model: str, evaluated: Mapping[str, Any]) -> dict[str, float | None]:
    """A model's bits per byte and the headline figure of each task; None where one was not measured.

    evaluated: metrics/evaluate.json. Raises UserError where the model was not evaluated.
    """
    if evaluated.get(f"{model}_{BITS[0]}") is None:
        raise UserError(f"metrics/evaluate.json: no {model}_{BITS[0]}; run `dvc repro evaluate`")
    names = [*BITS, *(f"{task}_{evaluated[f'{task}_metric']}" for task in evaluated.get("tasks", ()))]
    return {name: evaluated.get(f"{model}_{name}") for name in names}


def holdout_hash(mixture: Path, clean: Path, settings: Mapping[str, Any]) -> str:
    """A short hash of the rows that figures are measured on. settings: how many of them are."""
    texts = [
        [str(row[name]) for name in ("id", "messages", "answer")]
        for split in SPLITS
        for row in read_rows(mixture / f"{split}.parquet", ["id", "messages", "answer"])
    ]
    stories = [str(row["text"]) for split in SPLITS for row in read_rows(clean / f"{split}.parquet", ["text"])]
    return short_hash([texts, stories, dict(settings)])


def measured_differences(candidate: Figures, opponent: Figures, margins: MarginParams) -> list[Difference]:
    """Bits per byte and the tasks' figures that both have. Raises UserError where a figure has no margin."""
    return [
        Difference(
            name=name, candidate=ours, opponent=theirs, margin=_margin(name, margins), lower_is_better=name in BITS
        )
        for name, ours in candidate.items()
        if ours is not None and (theirs := opponent.get(name)) is not None
    ]


def unmeasured(candidate: Figures, opponent: Figures) -> list[str]:
    """The opponent's figures that the candidate lacks."""
    return [name for name, value in opponent.items() if value is not None and candidate.get(name) is None]


def _margin(name: str, margins: MarginParams) -> float:
    if name in BITS:
        return margins.bits_per_byte
    found = [margin for metric, margin in margins.tasks.items() if name.endswith(f"_{metric}")]
    if not found:
        raise UserError(f"params.yaml: gate.margins: none of {', '.join(margins.tasks)} is the figure of {name}")
    return found[0]


def axis_differences(
    ours: Sequence[Item], theirs: Sequence[Item], scores: Sequence[ScoreRecord], margins: MarginParams,
    bootstrap: Bootstrap,
) -> list[Difference]:  # fmt: skip
    """The mean level of each axis of the rubric over the prompts on which both answers have a grade."""
    graded = {record.item: record for record in scores if record.status == "ok"}
    other = {item.prompt_id: item.id for item in theirs}
    levels: dict[str, list[tuple[str, float, float]]] = {}
    for item in ours:
        for axis, own, beside in _both_levels(graded, item.id, other.get(item.prompt_id, "")):
            levels.setdefault(axis, []).append((item.prompt_id, own, beside))
    return [_of_axis(axis, held, margins, bootstrap) for axis, held in sorted(levels.items())]


def _both_levels(graded: Mapping[str, ScoreRecord], own: str, other: str) -> Iterator[tuple[str, float, float]]:
    if own in graded and other in graded:
        for axis, grade in graded[own].grades.items():
            if axis in graded[other].grades:
                yield axis, grade.score, graded[other].grades[axis].score


def _of_axis(
    axis: str, held: Sequence[tuple[str, float, float]], margins: MarginParams, bootstrap: Bootstrap
) -> Difference:
    span = float(max(LEVELS) - min(LEVELS))
    apart = [own - other for _, own, other in held]
    interval = bounded_mean(apart, [prompt for prompt, _, _ in held], bootstrap=bootstrap, lowest=-span, highest=span)
    return Difference(
        name=axis,
        candidate=math.fsum(own for _, own, _ in held) / len(held),
        opponent=math.fsum(other for _, _, other in held) / len(held),
        margin=margins.axes.get(axis, margins.axis),
        interval=interval,
    )
