"""The leaderboard of a judge: win rates, length-controlled beside raw, Bradley-Terry scores, the axes, the coverage."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.judging.comparing.board import ALL, AxisScore, Coverage, Leaderboard, Rates, Standing
from tasks.judging.comparing.matches import Match, find_matches
from tasks.judging.comparing.rates import NOTHING, bounded_mean, bradley_terry, length_controlled_win_rate, win_rate
from tasks.judging.comparing.tables import leaderboard_markdown, leaderboard_plot
from tasks.judging.records import STATUSES, Item, PairRecord, ScoreRecord, Status, Winner
from tasks.judging.rubric import LEVELS

Figures = dict[str, float | int | str | None]

__all__ = [
    "AxisScore", "Coverage", "Leaderboard", "Rates", "Standing", "bradley_terry", "comparison_figures", "leaderboard",
    "leaderboard_markdown", "leaderboard_plot", "length_controlled_win_rate", "win_rate",
]  # fmt: skip


def leaderboard(
    answers: Sequence[Item],
    scores: Sequence[ScoreRecord],
    pairs: Sequence[PairRecord],
    *,
    bootstrap: Bootstrap,
    models: Sequence[str] = (),
) -> Leaderboard:
    """The figures of all models, or of those named, in the order of their making: a later one is told against an
    earlier one. Records without a verdict are counted and in no figure.

    Raises ValueError where the records are of two judges, or a model answered a prompt twice.
    """
    names = tuple(models) or tuple(dict.fromkeys(item.by for item in answers))
    answers = [item for item in answers if item.by in names]
    matches = find_matches(answers, pairs, names)
    strengths = _strengths(matches, bootstrap)
    return Leaderboard(
        judge=_only_judge(scores, pairs),
        models=names,
        standings={
            name: Standing(
                model=name,
                answers=sum(item.by == name for item in answers),
                win_rate=_against_all(matches, name, bootstrap),
                bradley_terry=strengths.get(name, NOTHING),
                axes=_axes([item for item in answers if item.by == name], scores, bootstrap),
            )
            for name in names
        },
        rates=tuple(_all_rates(matches, bootstrap)),
        coverage=_coverage(answers, scores, matches),
    )


def comparison_figures(board: Leaderboard) -> Figures:
    """The leaderboard as flat figures (metrics/judge.json); None where there was no verdict to tell them by."""
    figures: Figures = {"judge": board.judge or None}
    for rates in board.rates:
        start = "_".join(filter(None, (key(rates.first), "vs", key(rates.second), key(rates.kind))))
        figures |= rates.win_rate.figures(f"{start}_win_rate")
        figures |= rates.length_controlled.figures(f"{start}_length_controlled_win_rate")
        figures |= {f"{start}_verdicts": rates.verdicts, f"{start}_ties": rates.ties}
        figures[f"{start}_longer_share"] = None if math.isnan(rates.longer) else rates.longer
    for name, standing in board.standings.items():
        figures |= standing.win_rate.figures(f"{key(name)}_win_rate")
        figures |= standing.bradley_terry.figures(f"{key(name)}_bradley_terry")
        for axis, found in standing.axes.items():
            figures |= found.score.figures(f"{key(name)}_{axis}_score")
    return figures | _coverage_figures(board.coverage)


def key(name: str) -> str:
    """A model's or a kind's name as part of a figure's."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _coverage_figures(coverage: Coverage) -> Figures:
    counts = {f"judge_{status}": count for status, count in coverage.statuses.items()}
    return {
        **counts,
        "judge_coverage": coverage.share,
        **{f"judge_{key(kind)}_coverage": share for kind, share in coverage.by_kind.items()},
        "judge_missing": coverage.missing,
        "judge_same_text": coverage.same_text,
        "judge_flipped": coverage.flipped,
        "judge_flipped_share": coverage.flipped_share,
    }


def _only_judge(scores: Sequence[ScoreRecord], pairs: Sequence[PairRecord]) -> str:
    judges = {record.judge for record in scores} | {record.judge for record in pairs}
    if len(judges) > 1:
        raise ValueError(f"verdicts of {len(judges)} judges ({', '.join(sorted(judges))}); a leaderboard is of one")
    return next(iter(judges), "")


def _all_rates(matches: Sequence[Match], bootstrap: Bootstrap) -> Iterator[Rates]:
    """Each two models over every kind, then by kind."""
    for first, second in dict.fromkeys(match.models for match in matches):
        own = [match for match in matches if match.models == (first, second)]
        yield _rates(own, ALL, bootstrap)
        for kind in dict.fromkeys(match.first.kind for match in own):
            yield _rates([match for match in own if match.first.kind == kind], kind, bootstrap)


def _rates(matches: Sequence[Match], kind: str, bootstrap: Bootstrap) -> Rates:
    judged = [match for match in matches if match.record is not None and match.record.winner]
    records, prompts = _records(judged)
    lengths = [match.lengths for match in judged]
    count = Counter(record.winner for record in records)
    first, second = matches[0].models
    return Rates(
        first=first,
        second=second,
        kind=kind,
        win_rate=win_rate(records, prompts, bootstrap=bootstrap),
        length_controlled=length_controlled_win_rate(
            records, prompts, lengths, kinds=[match.first.kind for match in judged], bootstrap=bootstrap
        ),
        wins=count["first"],
        ties=count["tie"],
        losses=count["second"],
        longer=sum((a > b) + (a == b) / 2 for a, b in lengths) / len(lengths) if lengths else math.nan,
    )


def _records(matches: Sequence[Match]) -> tuple[list[PairRecord], list[str]]:
    known = [(match.record, match.first.prompt_id) for match in matches if match.record is not None]
    return [record for record, _ in known], [prompt for _, prompt in known]


def _strengths(matches: Sequence[Match], bootstrap: Bootstrap) -> dict[str, Score]:
    judged = [match for match in matches if match.record is not None]
    records, prompts = _records(judged)
    return bradley_terry(records, prompts, [match.models for match in judged], bootstrap=bootstrap)


def _against_all(matches: Sequence[Match], model: str, bootstrap: Bootstrap) -> Score:
    """What a model won of all its verdicts, whichever place it has in them."""
    values: list[float] = []
    prompts: list[str] = []
    for match in matches:
        if model in match.models and match.record is not None and match.record.winner is not None:
            won: Winner = "first" if match.first.by == model else "second"
            values.append(0.5 if match.record.winner == "tie" else float(match.record.winner == won))
            prompts.append(match.first.prompt_id)
    return bounded_mean(values, prompts, bootstrap=bootstrap, lowest=0.0, highest=1.0)


def _axes(answers: Sequence[Item], scores: Sequence[ScoreRecord], bootstrap: Bootstrap) -> dict[str, AxisScore]:
    """A model's mean of each axis that any of its answers has a grade on."""
    by_item = {record.item: record for record in scores if record.status == "ok"}
    graded = [(item.prompt_id, by_item[item.id]) for item in answers if item.id in by_item]
    found: dict[str, AxisScore] = {}
    for axis in dict.fromkeys(axis for _, record in graded for axis in record.grades):
        own = [(prompt, record.grades[axis]) for prompt, record in graded if axis in record.grades]
        score = bounded_mean(
            [grade.score for _, grade in own],
            [prompt for prompt, _ in own],
            bootstrap=bootstrap,
            lowest=min(LEVELS),
            highest=max(LEVELS),
        )
        found[axis] = AxisScore(score=score, answers=len(own), is_proxy=any(grade.is_proxy for _, grade in own))
    return found


def _coverage(answers: Sequence[Item], scores: Sequence[ScoreRecord], matches: Sequence[Match]) -> Coverage:
    """Counts each text and each two texts once, however many models gave them."""
    graded = {record.item: record.status for record in sorted(scores, key=lambda found: found.status == "ok")}
    pairs = {frozenset((m.first.id, m.second.id)): m for m in matches if m.decided != "same text"}
    asked = [(kind, graded.get(item)) for item, kind in {item.id: item.kind for item in answers}.items()]
    asked += [(match.first.kind, match.record.status if match.record else None) for match in pairs.values()]
    records = [match.record for match in pairs.values()]
    twice = [record for record in records if record and record.status == "ok" and len(record.orders) > 1]
    count = Counter(status for _, status in asked)
    return Coverage(
        statuses={status: count[status] for status in STATUSES},
        missing=count[None],
        same_text=sum(match.decided == "same text" for match in matches),
        both_orders=len(twice),
        flipped=sum(record.is_flipped for record in twice),
        by_kind=_by_kind(asked),
    )


def _by_kind(asked: Sequence[tuple[str, Status | None]]) -> dict[str, float]:
    """The share of each kind that has a verdict."""
    kinds = dict.fromkeys(kind for kind, _ in asked)
    found = {kind: [status == "ok" for own, status in asked if own == kind] for kind in kinds}
    return {kind: sum(judged) / len(judged) for kind, judged in found.items()}
