"""The page itself: what the template is given, and writing it. No script, no request, no time stamp."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.evaluation.intervals import Score
from tasks.judging.comparing.board import Leaderboard
from tasks.judging.comparing.tables import WORDS_OF_STATUS, coverage_line, kind_told
from tasks.judging.records import Item, PairRecord, ScoreRecord
from tasks.judging.report.examples import best_and_worst, cut, find_examples, flipped
from tasks.judging.report.scorecard import read_scorecards
from tasks.judging.rubric import Axis, Rubric
from tasks.stage import write_text

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).with_name("page.html.j2")
MOST_EXAMPLES, MOST_FLIPPED = 4, 2


@dataclass(frozen=True, kw_only=True)
class AxisRow:
    """An axis of the rubric with what is said of it beside its name."""

    name: str
    part: str
    axis: Axis
    is_proxy: bool
    may_decide: bool


def write_report(
    path: Path,
    *,
    leaderboard: Leaderboard,
    scorecard: Mapping[str, Any],
    answers: Sequence[Item],
    scores: Sequence[ScoreRecord],
    pairs: Sequence[PairRecord],
    rubric: Rubric,
) -> None:
    """Writes the page: the same bytes for the same verdicts. scorecard: the figures of metrics/judge_scorecard.json,
    empty where no judge was examined.
    """
    cards = read_scorecards(scorecard)
    own = [card for card in cards if card.is_of(leaderboard.judge)]
    examples = find_examples(answers, scores, pairs, leaderboard.models)
    best, worst = best_and_worst(examples, most=MOST_EXAMPLES)
    page = _template().render(
        board=leaderboard,
        headline=next(
            (found for found in reversed(leaderboard.overall) if found.first == leaderboard.models[-1]), None
        ),
        rubric=rubric,
        axes=list(_axes(leaderboard, rubric, [axis for card in own for axis in card.axes_failed])),
        cards=[*own, *(card for card in cards if card not in own)],
        is_examined=bool(own),
        groups=[
            ("Where the newest model did best", best),
            ("Where it did worst", worst),
            ("Where the order of showing decided", flipped(examples)[:MOST_FLIPPED]),
        ],
        failures={words: leaderboard.coverage.statuses.get(status, 0) for status, words in WORDS_OF_STATUS.items()},
        decodings=_decodings(answers),
    )
    write_text(path, page)


def _axes(board: Leaderboard, rubric: Rubric, failed: Sequence[str]) -> Iterator[AxisRow]:
    """The axes on which any answer has a grade, in the order of the rubric."""
    for part, axes in (("stories", rubric.story), ("other tasks", rubric.task)):
        for name, axis in axes.items():
            graded = [standing.axes[name] for standing in board.ranked if name in standing.axes]
            if graded:
                proxy = any(found.is_proxy for found in graded)
                yield AxisRow(name=name, part=part, axis=axis, is_proxy=proxy, may_decide=name not in failed)


def _decodings(answers: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """How each model's answers were drawn, told once; a setting that differs from answer to answer is left out."""
    found: dict[str, dict[str, Any]] = {}
    for item in answers:
        held = found.setdefault(item.by, dict(item.decoding))
        found[item.by] = {name: value for name, value in held.items() if item.decoding.get(name) == value}
    return {model: held for model, held in found.items() if held}


@cache
def _template() -> "Template":
    """Answers are texts of strangers: everything is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "at": _place, "percent": _percent, "plain": _plain, "words": _words, "cut": cut, "kind": kind_told,
        "many": _many,
    }  # fmt: skip
    environment.globals["coverage_line"] = coverage_line
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _place(value: float, low: float, high: float) -> str:
    """Where a value stands between two ends, in percent of the way."""
    return f"{100 * (min(max(value, low), high) - low) / (high - low):.2f}%"


def _percent(score: Score) -> str:
    return "not judged" if math.isnan(score.value) else f"{100 * score.value:.1f}"


def _plain(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _words(name: str) -> str:
    return name.replace("_", " ")
