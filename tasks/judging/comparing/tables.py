"""The leaderboard in words: Markdown for people, CSV for `dvc plots`."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tasks.evaluation.intervals import Score
from tasks.judging.comparing.board import ALL, AxisScore, Coverage, Leaderboard, Rates
from tasks.judging.records import Status

WORDS_OF_STATUS: Mapping[Status, str] = {
    "parse_error": "replies that could not be read",
    "refused": "refused",
    "unsupported": "abstained: not a text that this judge can read",
    "injection_flag": "set aside: the text speaks to the judge",
}


def leaderboard_markdown(board: Leaderboard, *, may_not_decide: Sequence[str] = ()) -> str:
    """The page metrics/leaderboard.md. may_not_decide: axes on which the judge failed its own examination."""
    parts = [
        ["# Leaderboard", "", f"Judged by `{board.judge}`. {coverage_line(board.coverage)}"],
        list(_standings(board)),
        ["## Pairwise", "", *_rates(board)],
        ["## Axes, 1 to 5", "", *_axes(board, may_not_decide)],
        list(_failures(board.coverage)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def leaderboard_plot(board: Leaderboard) -> str:
    """The win rates as CSV for `dvc plots`, a row for each two models and kind; an unknown figure is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "kind", "how", "win_rate", "low", "high"])
    for rates in board.rates:
        name, kind = f"{rates.first} vs {rates.second}", rates.kind or "all"
        for how, score in (("raw", rates.win_rate), ("length-controlled", rates.length_controlled)):
            ends = (score.value, score.low, score.high)
            figures = ["" if math.isnan(end) else f"{end:.6g}" for end in ends]
            writer.writerow([f"{name} ({kind}, {how})", kind, how, *figures])
    return text.getvalue()


def coverage_line(coverage: Coverage) -> str:
    """How much has a verdict, and how often the order of showing decided, in words."""
    if coverage.share is None:
        return "Nothing was to be judged."
    said = f"{coverage.statuses['ok']:,} of {coverage.asked:,} judgements have a verdict ({coverage.share:.1%})"
    if coverage.flipped_share is not None:
        said += f"; the order in which the two were shown decided {coverage.flipped_share:.1%} of the pairs (ties)"
    same = (
        f" {coverage.same_text:,} pairs are the same text twice: ties that nobody judged." if coverage.same_text else ""
    )
    return f"{said}.{_by_kind(coverage)}{same}"


def _by_kind(coverage: Coverage) -> str:
    """Empty where every kind of prompt is judged in full."""
    if all(share == 1 for share in coverage.by_kind.values()):
        return ""
    shares = ", ".join(f"{kind_told(kind)} {share:.1%}" for kind, share in sorted(coverage.by_kind.items()))
    return f" By kind: {shares}."


def kind_told(kind: str) -> str:
    """A kind of prompt as people read it."""
    return "all prompts" if kind == ALL else kind


def percent(score: Score) -> str:
    """A share with its interval, in percent."""
    return _told(score, digits=1, times=100)


def points(score: Score) -> str:
    """A score in whole points with its interval."""
    return _told(score, digits=0)


def level(found: AxisScore | None) -> str:
    """A mean level with its interval."""
    return "-" if found is None else _told(found.score, digits=2)


def _told(score: Score, *, digits: int, times: float = 1.0) -> str:
    if math.isnan(score.value):
        return "-"
    value, low, high = (f"{times * end:.{digits}f}" for end in (score.value, score.low, score.high))
    return value if math.isnan(score.low) else f"{value} [{low}, {high}]"


def _standings(board: Leaderboard) -> Iterator[str]:
    yield "| model | win rate, % | Bradley-Terry score | answers |"
    yield "|---|---|---|---|"
    for found in board.ranked:
        yield f"| {found.model} | {percent(found.win_rate)} | {points(found.bradley_terry)} | {found.answers:,} |"
    yield ""
    yield "A tie is half a win. 95 of 100 intervals hold the figure (bootstrap by prompt). Bradley-Terry scores are in"
    yield "Elo points with mean 1,000: 400 points are odds of ten to one; no interval where a model won all or nothing."


def _rates(board: Leaderboard) -> Iterator[str]:
    yield "| models | prompts | win rate, % | length-controlled, % | won / tied / lost | outcome |"
    yield "|---|---|---|---|---|---|"
    for found in board.rates:
        marked = f"**{found.outcome}**" if found.outcome == "loses" else found.outcome
        marked += ", not at equal lengths" if found.is_by_length else ""
        yield (
            f"| {found.first} vs {found.second} | {kind_told(found.kind)} | {percent(found.win_rate)} "
            f"| {percent(found.length_controlled)}{' *' if found.is_extrapolated else ''} "
            f"| {found.wins} / {found.ties} / {found.losses} | {marked} |"
        )
    if any(found.is_extrapolated for found in board.rates):
        yield ""
        yield from _extrapolated(board.rates)


def _extrapolated(rates: Iterable[Rates]) -> Iterator[str]:
    yield "\\* One of the two is nearly always the longer one, so that what would be at equal lengths is extrapolated:"
    for found in (found for found in rates if found.is_extrapolated):
        yield f"  {found.first} is longer than {found.second} in {found.longer:.0%} ({kind_told(found.kind)})."


def _axes(board: Leaderboard, may_not_decide: Sequence[str]) -> Iterator[str]:
    axes = list(dict.fromkeys(axis for found in board.ranked for axis in found.axes))
    if not axes:
        yield "No answer has a grade."
        return
    yield f"| axis | {' | '.join(found.model for found in board.ranked)} | |"
    yield f"|---|{'---|' * len(board.ranked)}---|"
    for axis in axes:
        cells = " | ".join(level(found.axes.get(axis)) for found in board.ranked)
        yield f"| {axis.replace('_', ' ')} | {cells} | {', '.join(_remarks(board, axis, may_not_decide))} |"


def _remarks(board: Leaderboard, axis: str, may_not_decide: Sequence[str]) -> Iterator[str]:
    if any(found.axes[axis].is_proxy for found in board.ranked if axis in found.axes):
        yield "a proxy"
    if axis in may_not_decide:
        yield "**may not decide**: the judge failed its examination here"


def _failures(coverage: Coverage) -> Iterator[str]:
    """What has no verdict and stands in no figure, by reason."""
    counts = {words: coverage.statuses.get(status, 0) for status, words in WORDS_OF_STATUS.items()}
    counts["never judged"] = coverage.missing
    if not any(counts.values()):
        return
    yield "## Without a verdict (in no figure above)"
    yield ""
    yield from (f"- {words}: {count:,}" for words, count in counts.items() if count)
