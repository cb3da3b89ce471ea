"""Drift: what was served lately beside what the champion answered when it was accepted, kind by kind of task.

A figure of the accepted answers is a mean over their kinds, weighted as the served replies are: a day of summaries is
not compared with stories. Every figure is a mean over texts, so that their number does not matter.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, median

from tasks.cleaning.words import split_words
from tasks.evaluation.spread import spread
from tasks.evaluation.word_runs import distinct_share
from tasks.judging.configured import HEURISTICS, configured_judge
from tasks.judging.records import STORY, Item
from tasks.judging.rubric import Rubric, load_rubric
from tasks.reviews.database import Database
from tasks.reviews.served import judged
from tasks.serving.guard import FINISH_REASON
from tasks.serving.params import DriftParams
from tasks.serving.recorded import replies_since
from tasks.serving.reply import Reply
from tasks.stage import Excerpt, UserError, load_params

CUT = "cancelled"  # such replies are no whole texts


class _Judge(Excerpt):
    judge: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the served replies, or of the accepted answers weighted as those. None: it could not be measured.

    new_word_share: of a text's words, those of no other accepted answer and not of its own prompt. score: the
    judge's, 1 to 5, of stories without their constraints.
    """

    median_words: float
    new_word_share: float
    distinct_2: float
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What was found. replies: in all; measured: whole texts of kinds that were accepted too; versions: who gave them.

    served, accepted: None where too few were measured. alerts: a line for each figure beyond its parameter.
    """

    at: datetime
    hours: int
    replies: int
    measured: int
    refusal_share: float
    versions: Mapping[str, int]
    served: Figures | None = None
    accepted: Figures | None = None
    alerts: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """As MLflow keeps them."""
        told: dict[str, float | None] = {"replies": self.replies, "refusal_share": self.refusal_share}
        for who, figures in (("served", self.served), ("accepted", self.accepted)):
            told |= {f"{who}_{name}": value for name, value in (asdict(figures).items() if figures else ())}
        return {f"drift/{name}": value for name, value in told.items() if value is not None}

    @property
    def line(self) -> str:
        """All of it in one line."""
        told = f"{self.replies} replies of {self.hours} h, {self.measured} measured"
        if self.served is None:
            return f"{told}: too few to compare"
        return f"{told}: {'; '.join(self.alerts) or 'no drift'}"

    @property
    def markdown(self) -> str:
        """A table for people."""
        lines = [f"## Drift of what was served\n\n{self.line}.", "", "| | served | accepted |", "|---|---|---|"]
        if self.served and self.accepted:
            pairs = zip(asdict(self.served).items(), asdict(self.accepted).values(), strict=True)
            lines += [
                f"| {name.replace('_', ' ')} | {_told(ours)} | {_told(theirs)} |" for (name, ours), theirs in pairs
            ]
        lines.append(f"| refusal share | {self.refusal_share:.3g} | |")
        return "\n".join(lines) + "\n"


def look(
    database: Database, *, params: DriftParams, accepted: Sequence[Item], now: datetime,
    judges: Path = Path("models/judges"), verdicts: Path = Path("verdicts"), rubric: Path = Path("rubric.yaml"),
) -> Drift:  # fmt: skip
    """Compares the champion's share of the last hours with the accepted answers. Raises UserError where none are."""
    if not accepted:
        raise UserError("there is no champion yet, so nothing that was served can drift; `fledgling promote` makes one")
    replies = [one for one in replies_since(database, now - timedelta(hours=params.hours)) if one.share == "champion"]
    refused = [one for one in replies if one.finish_reason == FINISH_REASON]
    found = Drift(
        at=now, hours=params.hours, replies=len(replies), measured=0, versions=Counter(one.version for one in replies),
        refusal_share=len(refused) / len(replies) if replies else 0.0,
    )  # fmt: skip
    kinds = {item.kind for item in accepted}
    served = [item for item in map(judged, _whole(replies)) if item.kind in kinds and split_words(item.answer)]
    found = replace(found, measured=len(served))
    if len(served) >= params.min_replies:
        judge = _Scores(judges=judges, verdicts=verdicts, rubric=load_rubric(rubric), most=params.judged)
        ours, theirs = compare(served, accepted, judge)
        found = replace(found, served=ours, accepted=theirs)
    return replace(found, alerts=tuple(_alerts(found, params))) if len(replies) >= params.min_replies else found


def compare(served: Sequence[Item], accepted: Sequence[Item], judge: "_Scores | None") -> tuple[Figures, Figures]:
    """The figures of both, the accepted answers' weighted by kind as the served ones are. Both hold every kind."""
    known = _Words(accepted)
    ours, theirs = _by_kind(served), _by_kind(accepted)
    weights = {kind: len(items) / len(served) for kind, items in ours.items()}
    scores = judge.of(ours, theirs) if judge else (None, None)
    return (
        _figures(ours, weights, known, score=scores[0], is_own=False),
        _figures(theirs, weights, known, score=scores[1], is_own=True),
    )


def _figures(
    by_kind: Mapping[str, Sequence[Item]], weights: Mapping[str, float], known: "_Words", *, score: float | None,
    is_own: bool,
) -> Figures:  # fmt: skip
    def mean(figures: Mapping[str, float]) -> float:
        return sum(weight * figures[kind] for kind, weight in weights.items())

    kinds = {kind: by_kind[kind] for kind in weights}
    return Figures(
        median_words=mean({kind: median(len(split_words(one.answer)) for one in own) for kind, own in kinds.items()}),
        new_word_share=mean(
            {kind: fmean(known.new_share(one, is_own=is_own) for one in own) for kind, own in kinds.items()}
        ),
        distinct_2=mean({kind: fmean(distinct_share([one.answer], 2) for one in own) for kind, own in kinds.items()}),
        score=score,
    )


class _Words:
    """In how many of the accepted answers each word is."""

    def __init__(self, accepted: Iterable[Item]) -> None:
        self._texts: Counter[str] = Counter()
        for item in accepted:
            self._texts.update(set(split_words(item.answer)))

    def new_share(self, item: Item, *, is_own: bool) -> float:
        """The share of an answer's words that no (is_own: other) accepted answer holds, nor its own prompt."""
        words, asked = split_words(item.answer), set(split_words(f"{item.prompt} {item.document}"))
        new = [word for word in words if self._texts[word] <= int(is_own) and word not in asked]
        return len(new) / len(words) if words else 0.0


@dataclass(frozen=True, kw_only=True)
class _Scores:
    """The accepting judge's mean score of a sample of stories, where it is a heuristic one: it costs nothing."""

    judges: Path
    verdicts: Path
    rubric: Rubric
    most: int

    def of(
        self, served: Mapping[str, Sequence[Item]], accepted: Mapping[str, Sequence[Item]]
    ) -> tuple[float | None, float | None]:
        """Of the served and of the accepted stories; None where there are none, or no such judge."""
        name = load_params(_Judge, "judge").judge
        if name not in HEURISTICS or not (self.judges / name).is_dir() or not self.most or STORY not in served:
            return None, None
        with configured_judge(name, judges=self.judges, verdicts=self.verdicts) as judge:
            # no request's constraints are known of what is served: none count on either side
            samples = [
                [replace(one, constraints={}, references=()) for one in spread(items[STORY], self.most)]
                for items in (served, accepted)
            ]
            means = [
                [one.overall for one in judge.score(sample, self.rubric) if one.overall is not None]
                for sample in samples
            ]
        ours, theirs = (fmean(scores) if scores else None for scores in means)
        return ours, theirs


def _alerts(found: Drift, params: DriftParams) -> Iterable[str]:
    if found.refusal_share > params.max_refusals:
        yield f"{found.refusal_share:.0%} of the requests were refused, {params.max_refusals:.0%} are allowed"
    ours, theirs = found.served, found.accepted
    if ours is None or theirs is None:
        return
    changes = (
        ("length", ours.median_words, theirs.median_words, params.max_length_change),
        ("distinct-2", ours.distinct_2, theirs.distinct_2, params.max_distinct_change),
    )
    for name, own, other, most in changes:
        if other and abs(own / other - 1) > most:
            yield f"{name} {own:.3g} beside {other:.3g}: changed by {own / other - 1:+.0%}, {most:.0%} is allowed"
    if ours.new_word_share - theirs.new_word_share > params.max_new_words:
        yield (
            f"{ours.new_word_share:.1%} new words beside {theirs.new_word_share:.1%}: {params.max_new_words:.1%} more "
            "are allowed"
        )
    if ours.score is not None and theirs.score is not None and theirs.score - ours.score > params.max_score_drop:
        yield f"the judge's score {ours.score:.2f} beside {theirs.score:.2f}: {params.max_score_drop:g} less is allowed"


def _whole(replies: Iterable[Reply]) -> list[Reply]:
    return [one for one in replies if one.finish_reason not in (FINISH_REASON, CUT)]


def _by_kind(items: Iterable[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item.kind].append(item)
    return found


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
