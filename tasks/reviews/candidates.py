"""What is worth a person's time: candidates made of a judge's records, and a batch chosen among them.

First what the judge was unsure of (a small margin, a tie, an order that decided, no verdict) and what is disputed
(judges who differ, axes that differ, people who decided otherwise on that prompt before); balanced over the kinds of
task and the models.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

from tasks.cleaning.words import split_words
from tasks.judging.comparing.matches import swapped
from tasks.judging.kept import read_items, read_pairs, read_rankings, read_scores
from tasks.judging.records import Item, PairRecord, RankRecord, ScoreRecord, short_hash
from tasks.reviews.kinds import KINDS, Kind, Values
from tasks.reviews.params import Source
from tasks.stage import UserError

PERFECT = 4.5  # a mean grade from which on there is nothing to correct
LONG_WORDS = 200  # an answer of so many words is a burden to correct
LEAST_RANKED = 3  # two answers are a choice

Group = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Answers, and what judges said of them."""

    items: Sequence[Item]
    scores: Sequence[ScoreRecord] = ()
    pairs: Sequence[PairRecord] = ()
    rankings: Sequence[RankRecord] = ()

    @property
    def by_id(self) -> dict[str, Item]:
        """Answers that hold anything, by id; of equal ones the first."""
        found: dict[str, Item] = {}
        for item in self.items:
            if split_words(item.answer):
                found.setdefault(item.id, item)
        return found


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An item that could be shown. judge: what was said of it, in terms of the answers' ids; urgency: from 0, not by
    kind comparable."""

    kind: Kind
    answers: tuple[Item, ...]
    judge: Values
    urgency: float

    @property
    def prompt(self) -> str:
        return self.answers[0].prompt_id

    @property
    def group(self) -> Group:
        """What a batch is balanced over: the kind of task and the models."""
        return self.answers[0].kind, tuple(sorted(answer.by for answer in self.answers))

    @cached_property
    def together(self) -> frozenset[tuple[str, ...]]:
        return together([answer.id for answer in self.answers])


def together(answers: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """The answers of an item (their ids), alone or two at a time: what is never shown so again."""
    ids = sorted(answers)
    return frozenset([(ids[0],)] if len(ids) == 1 else combinations(ids, 2))


def read_judged(source: Source, *, sampled: Path, labelled: Path, judged: Path, gated: Path) -> Judged:
    """What the chain left: answers to training prompts, or to the hold-out's (of all models, or of those that the
    gate compared). Raises UserError where it did not."""
    folder = {"labelled": labelled, "judged": judged, "gated": gated}[source]
    answers = sampled if source == "labelled" else folder / "answers.jsonl"
    for path in (answers, folder / "scores.jsonl", folder / "pairs.jsonl"):
        if not path.exists():
            raise UserError(f"{path}: no such file; the chain makes it, run `make pipeline` or `dvc repro`")
    rankings = folder / "rankings.jsonl"
    return Judged(
        items=read_items(answers),
        scores=read_scores(folder / "scores.jsonl"),
        pairs=read_pairs(folder / "pairs.jsonl"),
        rankings=read_rankings(rankings) if rankings.exists() else (),
    )


def candidates(judged: Judged, *, doubts: Mapping[str, float]) -> list[Candidate]:
    """Every item that could be made. doubts: by prompt the share of people's decisions that were not the judge's."""
    made = [*_choices(judged), *_rankings(judged), *_ratings(judged), *_corrections(judged)]
    return [
        Candidate(kind=one.kind, answers=one.answers, judge=one.judge, urgency=one.urgency + doubts.get(one.prompt, 0))
        for one in made
    ]


def chosen(found: Sequence[Candidate], *, shares: Mapping[Kind, float], count: int, seed: int) -> list[Candidate]:
    """At most `count` of them, by kind in these shares, the kinds mixed, the most urgent of each kind first.

    No two answers stand together twice. What a kind has too few of is made up for by the others.
    """
    picked: dict[Kind, list[Candidate]] = {kind: [] for kind in KINDS}
    choice = _Choice(found, seed=seed)
    wanted = _counts(shares, count)
    for kind in sorted(KINDS, key=lambda kind: kind != "ranking"):  # first what needs all answers to a prompt
        picked[kind] += choice.take(kind, wanted[kind])
    for kind in sorted((kind for kind in KINDS if shares.get(kind)), key=lambda kind: -shares[kind]):
        picked[kind] += choice.take(kind, count - sum(map(len, picked.values())))
    return _mixed(picked.values())


class _Choice:
    """Takes candidates one at a time: of the group that has the fewest so far, the most urgent; new prompts first."""

    def __init__(self, found: Sequence[Candidate], *, seed: int) -> None:
        order = sorted(found, key=lambda one: short_hash([seed, one.kind, sorted(one.together)]))
        self._left = sorted(order, key=lambda one: -one.urgency)
        self._prompts: Counter[str] = Counter()
        self._groups: Counter[tuple[Kind, Group]] = Counter()
        self._together: set[tuple[str, ...]] = set()

    def take(self, kind: Kind, count: int) -> list[Candidate]:
        taken: list[Candidate] = []
        while len(taken) < count:
            free = [one for one in self._left if one.kind == kind and not self._together & one.together]
            if not free:
                break
            best = min(free, key=lambda one: (self._groups[kind, one.group], self._prompts[one.prompt]))
            self._left.remove(best)
            self._prompts[best.prompt] += 1
            self._groups[kind, best.group] += 1
            self._together |= best.together
            taken.append(best)
        return taken


def _counts(shares: Mapping[Kind, float], count: int) -> dict[Kind, int]:
    """Whole numbers in these shares that add up to `count`: what is left of the rounding goes to the largest rests."""
    exact = {kind: shares.get(kind, 0) * count for kind in KINDS}
    counts = {kind: int(share + 1e-9) for kind, share in exact.items()}
    by_rest = sorted(KINDS, key=lambda kind: counts[kind] - exact[kind])
    for kind in by_rest[: count - sum(counts.values())]:
        counts[kind] += 1
    return counts


def _mixed(kinds: Iterable[Sequence[Candidate]]) -> list[Candidate]:
    """Evenly mixed, each kind in its own order."""
    placed = [((at + 0.5) / len(own), one) for own in kinds for at, one in enumerate(own)]
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _choices(judged: Judged) -> Iterator[Candidate]:
    by_id = judged.by_id
    for (first, second), records in _by_answers(judged.pairs).items():
        if first not in by_id or second not in by_id:
            continue
        answers = by_id[first], by_id[second]
        if _are_distinct(answers):
            urgency = max(map(_uncertainty, records)) + _dispute(records)
            yield Candidate(kind="choice", answers=answers, judge=_said(records[0]), urgency=urgency)


def _by_answers(pairs: Iterable[PairRecord]) -> dict[tuple[str, str], list[PairRecord]]:
    """The records on each two answers, all told in one order."""
    found: dict[tuple[str, str], list[PairRecord]] = {}
    for record in pairs:
        turned = record if record.first <= record.second else swapped(record)
        found.setdefault((turned.first, turned.second), []).append(turned)
    return found


def _uncertainty(record: PairRecord) -> float:
    """1 where there is no winner, or the order decided; else what is left of the margin."""
    if record.status != "ok" or record.winner == "tie" or record.is_flipped:
        return 1.0
    return 1 - abs(record.margin or 0)


def _dispute(records: Sequence[PairRecord]) -> float:
    """1 where judges differ; else how far the axes differ: 0 where all point one way, 1 where half of them do."""
    if len({record.winner for record in records if record.winner is not None}) > 1:
        return 1.0
    axes = [winner == "first" for record in records for winner in record.axes.values() if winner != "tie"]
    return 2 * min(sum(axes), len(axes) - sum(axes)) / len(axes) if axes else 0.0


def _said(record: PairRecord) -> Values:
    if record.winner is None:
        return {"judge": record.judge, "status": record.status}
    winner = {"first": record.first, "second": record.second, "tie": "tie"}[record.winner]
    return {"judge": record.judge, "winner": winner}


def _rankings(judged: Judged) -> Iterator[Candidate]:
    by_id = judged.by_id
    unsure = {pair: max(map(_uncertainty, records)) for pair, records in _by_answers(judged.pairs).items()}
    for record in judged.rankings:
        answers = tuple(by_id[one] for one in dict.fromkeys(record.items) if one in by_id)
        if len(answers) < LEAST_RANKED or not _are_distinct(answers):
            continue
        ids = {answer.id for answer in answers}
        pairs = [unsure.get((a, b), 1.0) for a, b in combinations(sorted(ids), 2)]
        said: Values = {"judge": record.judge, "status": record.status}
        if record.status == "ok":
            tiers = [[one for one in tier if one in ids] for tier in record.tiers]
            said = {"judge": record.judge, "tiers": [tier for tier in tiers if tier]}
        yield Candidate(kind="ranking", answers=answers, judge=said, urgency=sum(pairs) / len(pairs))


def _ratings(judged: Judged) -> Iterator[Candidate]:
    """Nearest to the middle first: there a grade says least."""
    for record, answer in _graded(judged):
        unsure = 1.0 if record.overall is None else 1 - abs(record.overall - 3) / 2
        yield Candidate(kind="rating", answers=(answer,), judge=_grades(record), urgency=unsure)


def _corrections(judged: Judged) -> Iterator[Candidate]:
    """Nearest to right and short first: there a correction keeps most of the answer, and takes least time."""
    for record, answer in _graded(judged):
        if (record.overall is None or record.overall < PERFECT) and not _is_right(answer):
            near = 0.5 if record.overall is None else (record.overall - 1) / 4
            short = 1 - min(1, len(split_words(answer.answer)) / LONG_WORDS)
            yield Candidate(kind="correction", answers=(answer,), judge=_grades(record), urgency=(near + short) / 2)


def _is_right(answer: Item) -> bool:
    """Whether it says what a reference says."""
    return split_words(answer.answer) in [split_words(reference) for reference in answer.references]


def _graded(judged: Judged) -> Iterator[tuple[ScoreRecord, Item]]:
    by_id = judged.by_id
    for record in {record.item: record for record in reversed(judged.scores)}.values():
        if record.item in by_id:
            yield record, by_id[record.item]


def _grades(record: ScoreRecord) -> Values:
    if record.status != "ok":
        return {"judge": record.judge, "status": record.status}
    return {"judge": record.judge, "scores": {axis: round(grade.score, 3) for axis, grade in record.grades.items()}}


def _are_distinct(answers: Sequence[Item]) -> bool:
    """Whether each says something else in its words: marks and spaces alone are no choice."""
    return len({tuple(split_words(answer.answer)) for answer in answers}) == len(answers)
