"""What is asked of a judge with the right answer beside it, and how its verdicts are counted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tasks.evaluation.intervals import Bootstrap, mean, with_interval
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.judge import Judge
from tasks.judging.records import Item, Pair, PairRecord, Winner
from tasks.judging.rubric import Rubric


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two answers of which one is better. group: what is drawn together for an interval (a story)."""

    pair: Pair
    better: Winner  # never "tie"
    group: str
    kind: str
    axis: str = ""

    @property
    def longer(self) -> Winner:
        """The answer with more characters; a tie where they are equal."""
        first, second = len(self.pair.first.answer), len(self.pair.second.answer)
        return "tie" if first == second else "first" if first > second else "second"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Questions with what a judge said to them, in the same order."""

    questions: Sequence[Question] = field(default_factory=tuple)
    records: Sequence[PairRecord] = field(default_factory=tuple)

    def only(self, wanted: Callable[[Question], bool]) -> "Answered":
        """Those questions of which `wanted` is true."""
        kept = [(q, r) for q, r in zip(self.questions, self.records, strict=True) if wanted(q)]
        return Answered(questions=[q for q, _ in kept], records=[r for _, r in kept])

    def check(
        self, name: str, credits: Iterable[float | None], *, limit: Limit | None, bootstrap: Bootstrap,
        axis: str = "", note: str = "",
    ) -> Check:  # fmt: skip
        """The mean of a credit a question, None where there is no verdict; the interval is drawn by group."""
        told = [(c, q.group) for c, q in zip(credits, self.questions, strict=True) if c is not None]
        if not self.questions:
            return not_run(name, limit=limit, axis=axis, note=note or "nothing to ask")
        if not told:
            return not_run(name, limit=limit, axis=axis, note=f"no verdict on any of {len(self.questions)} pairs")
        return of_scores(
            name, [c for c, _ in told], groups=[g for _, g in told], limit=limit, bootstrap=bootstrap, axis=axis,
            note=note,
        )  # fmt: skip

    def right(self) -> list[float | None]:
        """1 for the better answer, one half for a tie, 0 for the worse; None without a verdict."""
        return [credit(r.winner, q.better) for q, r in zip(self.questions, self.records, strict=True)]

    def right_by_length(self) -> list[float | None]:
        """What picking the longer answer would have got, of the questions that have a verdict."""
        return [
            credit(q.longer, q.better) if r.winner else None for q, r in zip(self.questions, self.records, strict=True)
        ]

    def right_on(self, axis: str) -> list[float | None]:
        """The same of the winner on one axis."""
        return [credit(r.axes.get(axis), q.better) for q, r in zip(self.questions, self.records, strict=True)]


def ask(judge: Judge, questions: Sequence[Question], rubric: Rubric) -> Answered:
    """Has a judge compare the pairs of the questions."""
    records = judge.compare([question.pair for question in questions], rubric) if questions else []
    return Answered(questions=questions, records=records)


def credit(winner: Winner | None, better: Winner) -> float | None:
    """1, one half for a tie, 0; None without a winner."""
    if winner is None:
        return None
    return 0.5 if "tie" in (winner, better) else float(winner == better)


def of_scores(
    name: str, scores: Sequence[float], *, limit: Limit | None, bootstrap: Bootstrap,
    groups: Sequence[str] | None = None, axis: str = "", note: str = "",
) -> Check:  # fmt: skip
    """The mean of some scores, with its interval."""
    return Check.of(
        name,
        with_interval(mean(scores), bootstrap, groups=groups),
        count=len(scores),
        limit=limit,
        axis=axis,
        note=note,
    )


def question(
    *, better: str, worse: str, asked: Item, better_first: bool, group: str, kind: str, axis: str = ""
) -> Question:
    """A question of two texts that answer what `asked` does; which is shown first is the caller's."""
    good = replace(asked, answer=better, by="real")
    bad = replace(asked, answer=worse, by=kind)
    pair = Pair(first=good, second=bad) if better_first else Pair(first=bad, second=good)
    return Question(pair=pair, better="first" if better_first else "second", group=group, kind=kind, axis=axis)
