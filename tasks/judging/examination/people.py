"""Check 5 on the project's own reviewers: a judge beside people, and people beside each other, from data/feedback.

Only ordinary decisions count, on prompts of whatever split: no judge learns from them. Published is what a judge was
least sure of, so that all agree less on it than on answers drawn at random: a judge's row is to be read beside the
people's. That both answers are bad counts as a tie here, which is what a judge can say of it.

A judge's verdict is the one that was kept with the item where it is of this very judge; else it is asked anew, of
what people saw: prompt, document and answers, without the references and constraints that a stage would give it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar, cast

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.evaluation.spread import spread
from tasks.judging.examination.agreement import Opinion, WithPeople
from tasks.judging.examination.scorecard import Check, not_run
from tasks.judging.examination.verdicts import Question
from tasks.judging.judge import Judge
from tasks.judging.records import Item, Pair, PairRecord, Winner
from tasks.judging.rubric import LEVELS, Rubric
from tasks.reviews.agreement import PAIRS, Vote, agreement, both_ways, kappa, preferred, votes_of
from tasks.reviews.batch_file import Answer, Feedback, read_folder

WINNERS: tuple[Winner, ...] = ("first", "second", "tie")
PAIR_ROWS = (
    "reviewers_agreement", "reviewers_kappa", "reviewers_longest_agreement", "reviewers_coverage",
    "reviewers_human_agreement", "reviewers_human_kappa",
)  # fmt: skip
RATING_ROWS = ("reviewers_rating_kappa", "reviewers_human_rating_kappa")

T = TypeVar("T", str, int)


@dataclass(frozen=True, kw_only=True)
class Compared(Opinion):
    """Two answers to one prompt and what reviewers said of them. generations: the answers' ids in the batch files.

    kept: what a judge had said of the item that they were shown in.
    """

    group: str
    generations: tuple[str, str]
    kept: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rated:
    """A reviewer's level on an axis of an answer."""

    item: Item
    vote: Vote
    kept: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """What people decided: on two answers, on axes. votes: on two answers, a person and a pair each."""

    compared: Sequence[Compared] = ()
    votes: Sequence[Vote] = ()
    rated: Sequence[Rated] = ()


def read_reviews(folder: Path) -> Reviews:
    """The ordinary decisions of all batch files. Raises UserError naming the line of what is none."""
    rows = [row for row in read_folder(folder) if row.purpose == "ordinary"]
    votes = [_vote(vote, row) for row in rows for vote in _votes(row)]
    return Reviews(
        compared=_compared(rows, [vote for vote in votes if vote.scale == PAIRS]),
        votes=[vote for vote in votes if vote.scale == PAIRS],
        rated=[
            Rated(item=_item(row, row.answers[0]), vote=_vote(vote, row), kept=row.judge)
            for row in rows if row.kind == "rating" for vote in _votes(row)
        ],
    )  # fmt: skip


def reviewers_checks(judge: Judge, rubric: Rubric, reviews: Reviews, *, most: int, bootstrap: Bootstrap) -> list[Check]:
    """A judge beside the project's reviewers, on at most so many pairs and ratings, and they beside each other."""
    return [
        *_pair_checks(judge, rubric, reviews, most=most, bootstrap=bootstrap),
        *_rating_checks(judge, rubric, reviews.rated, most=most, bootstrap=bootstrap),
    ]


def _votes(row: Feedback) -> list[Vote]:
    return votes_of(row.kind, row.decision, item=row.item, shown=row.generations, by=row.reviewer)


def _vote(vote: Vote, row: Feedback) -> Vote:
    """Drawn together by the prompt's cluster; both bad is a tie."""
    value = "tie" if vote.value == "both_bad" else vote.value
    return replace(vote, item=row.prompt.cluster, value=value)


def _item(row: Feedback, answer: Answer) -> Item:
    prompt = row.prompt
    return Item(
        prompt_id=prompt.id, kind=prompt.task, prompt=prompt.text, answer=answer.text, by=answer.model,
        document=prompt.document,
    )  # fmt: skip


def _compared(rows: Sequence[Feedback], votes: Sequence[Vote]) -> list[Compared]:
    """Each two answers that were shown together, with what each reviewer last said of them."""
    labels: dict[str, dict[str, Winner]] = {}
    for vote in votes:
        labels.setdefault(vote.unit, {})[vote.by] = cast(Winner, vote.value)
    found: dict[str, Compared] = {}
    for row in rows:
        for unit, (first, second) in zip(_units(row), _pairs(row), strict=True):
            found[unit] = Compared(
                pair=Pair(first=_item(row, first), second=_item(row, second)),
                labels=tuple(labels[unit].values()),
                group=row.prompt.cluster,
                generations=(first.generation, second.generation),
                kept=row.judge,
            )
    return list(found.values())


def _units(row: Feedback) -> list[str]:
    return [vote.unit for vote in _votes(row) if vote.scale == PAIRS]


def _pairs(row: Feedback) -> list[tuple[Answer, Answer]]:
    """In the order of `votes_of`: by the ids of the generations."""
    return list(combinations(sorted(row.answers, key=lambda answer: answer.generation), 2))


def _pair_checks(judge: Judge, rubric: Rubric, reviews: Reviews, *, most: int, bootstrap: Bootstrap) -> list[Check]:
    if not reviews.compared:
        return [not_run(name, note="nobody has compared answers of this project's own yet") for name in PAIR_ROWS]
    some = spread(reviews.compared, most)
    kept = [_kept(one, judge) for one in some]
    answered = _answered(judge, rubric, some, kept)
    alike = sum(record is not None for record in kept)
    said = f"with one of the reviewers; {alike} of {len(some)} verdicts kept, the others asked anew"
    longer = "a baseline on the pairs that have a verdict: what picking the longer one scores"
    return [
        answered.check("reviewers_agreement", answered.with_people(), limit=None, bootstrap=bootstrap, note=said),
        _judge_kappa(answered, bootstrap),
        answered.check(
            "reviewers_longest_agreement", answered.with_people(by_length=True), limit=None, bootstrap=bootstrap,
            note=longer,
        ),
        answered.coverage("reviewers_coverage", bootstrap),
        *_people(reviews.votes, bootstrap),
    ]  # fmt: skip


def _answered(judge: Judge, rubric: Rubric, some: Sequence[Compared], kept: Sequence[PairRecord | None]) -> WithPeople:
    """What the judge says of the pairs: as it was kept, else asked anew."""
    open_ = [one.pair for one, record in zip(some, kept, strict=True) if record is None]
    new = iter(judge.compare(open_, rubric) if open_ else ())
    questions = [Question(pair=one.pair, better=one.majority, group=one.group, kind="") for one in some]
    return WithPeople(questions=questions, records=[record or next(new) for record in kept], opinions=some)


def _kept(one: Compared, judge: Judge) -> PairRecord | None:
    """The verdict that was kept with an item, None where there is none of this judge."""
    said, (first, second) = one.kept, one.generations
    if said.get("judge") != str(judge.id):
        return None
    ids: dict[str, Any] = {"judge": str(judge.id), "first": one.pair.first.id, "second": one.pair.second.id}
    if "status" in said:
        return PairRecord(**ids, status=said["status"])
    if "tiers" in said:
        place = {answer: at for at, tier in enumerate(said["tiers"]) for answer in tier}
        if first not in place or second not in place:
            return None
        return PairRecord(**ids, status="ok", winner=preferred(place[first], place[second]))
    winner: Mapping[Any, Winner] = {first: "first", second: "second", "tie": "tie"}
    return PairRecord(**ids, status="ok", winner=winner[said["winner"]]) if said.get("winner") in winner else None


def _judge_kappa(answered: WithPeople, bootstrap: Bootstrap) -> Check:
    told = [
        (record.winner, label, question.group)
        for question, record, opinion in zip(answered.questions, answered.records, answered.opinions, strict=True)
        if record.winner is not None
        for label in opinion.labels
    ]
    return _kappa_row("reviewers_kappa", told, WINNERS, bootstrap, note="of what it and one of the reviewers said")


def _people(votes: Sequence[Vote], bootstrap: Bootstrap) -> list[Check]:
    """How far the reviewers agree with each other on pairs that two of them were shown."""
    names = PAIR_ROWS[-2:]
    both = both_ways(votes)
    if not both:
        return [not_run(name, note="no two answers were compared by two reviewers") for name in names]
    found = agreement(votes, bootstrap=bootstrap)[PAIRS]
    note = f"two reviewers of the same pair, {found.units} pairs; Krippendorff's alpha {_told(found.alpha)}"
    told = [(str(one.value), str(two.value), one.item) for one, two in both]
    return [
        Check.of(names[0], found.same, count=found.units, note=note),
        _kappa_row(names[1], told, WINNERS, bootstrap, note="of what two reviewers said", each=2),
    ]


def _rating_checks(
    judge: Judge, rubric: Rubric, rated: Sequence[Rated], *, most: int, bootstrap: Bootstrap
) -> list[Check]:
    """Levels on an axis, the judge's rounded to a whole one; kappa with squared weights."""
    if not rated:
        return [not_run(name, note="nobody has rated answers of this project's own yet") for name in RATING_ROWS]
    some = _first_items(rated, most)
    levels = _levels(judge, rubric, some)
    told = [
        (levels[one.item.id][one.vote.scale], int(one.vote.value), one.vote.item, one.vote.scale)
        for one in some
        if one.vote.scale in levels[one.item.id]
    ]
    both = [(int(a.value), int(b.value), a.item) for a, b in both_ways([one.vote for one in rated])]
    of_axes = [
        _rating_row(f"reviewers_{axis}_kappa", [row[:3] for row in told if row[3] == axis], bootstrap)
        for axis in dict.fromkeys(row[3] for row in told)
    ]
    return [
        _rating_row(RATING_ROWS[0], [row[:3] for row in told], bootstrap, note="with squared weights, on all axes"),
        _rating_row(
            RATING_ROWS[1], both, bootstrap, note="with squared weights, on all axes, of two reviewers", each=2
        ),
        *of_axes,
    ]


def _first_items(rated: Sequence[Rated], most: int) -> list[Rated]:
    """The ratings of at most so many answers, evenly spread."""
    wanted = set(spread(list(dict.fromkeys(one.item.id for one in rated)), most))
    return [one for one in rated if one.item.id in wanted]


def _levels(judge: Judge, rubric: Rubric, rated: Sequence[Rated]) -> dict[str, dict[str, int]]:
    """The judge's level on each axis of each answer; none where it abstained."""
    found = {one.item.id: _rounded(one.kept.get("scores", {})) for one in rated if _is_of(one.kept, judge)}
    new = {one.item.id: one.item for one in rated if one.item.id not in found}
    for record in judge.score(list(new.values()), rubric) if new else ():
        found[record.item] = _rounded({axis: grade.score for axis, grade in record.grades.items()})
    return found


def _is_of(kept: Mapping[str, Any], judge: Judge) -> bool:
    return kept.get("judge") == str(judge.id)


def _rounded(scores: Mapping[str, float]) -> dict[str, int]:
    return {axis: int(score + 0.5) for axis, score in scores.items()}


def _rating_row(
    name: str,
    told: Sequence[tuple[int, int, str]],
    bootstrap: Bootstrap,
    *,
    note: str = "with squared weights",
    each: int = 1,
) -> Check:
    return _kappa_row(name, told, LEVELS, bootstrap, note=note, each=each, is_ordered=True)


def _kappa_row(
    name: str, told: Sequence[tuple[T, T, str]], values: Sequence[T], bootstrap: Bootstrap, *, note: str,
    each: int = 1, is_ordered: bool = False,
) -> Check:  # fmt: skip
    """each: how often every two votes are told."""
    if not told:
        return not_run(
            name, note="no verdict beside a reviewer's" if each == 1 else "nothing was seen by two reviewers"
        )
    score = kappa(
        [one for one, _, _ in told], [other for _, other, _ in told], values, groups=[group for *_, group in told],
        bootstrap=bootstrap, is_ordered=is_ordered,
    )  # fmt: skip
    return Check.of(name, score, count=len(told) // each, note=f"Cohen's kappa {note}")


def _told(score: Score) -> str:
    return "undefined" if math.isnan(score.value) else f"{score.value:.2f}"
