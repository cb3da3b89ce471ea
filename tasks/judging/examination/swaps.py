"""Check 3: does the place in which an answer is shown decide, and does the judge say the same thing twice?"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.intervals import Bootstrap
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.verdicts import Answered, of_scores
from tasks.judging.judge import Judge
from tasks.judging.records import SWAPPED, Item, PairRecord
from tasks.judging.rubric import Rubric


def swap_checks(
    judge: Judge, rubric: Rubric, answered: Answered, *, asked_again: int, flipped: Limit, first_shown: Limit,
    bootstrap: Bootstrap,
) -> list[Check]:  # fmt: skip
    """The share of verdicts that a swap flips, as the judge tells it and as it is seen from outside; P(first wins).

    asked_again: so many of the pairs are given to the judge once more, swapped, whatever it did with both orders.
    """
    return [
        answered.check(
            "flipped_share", [float(r.is_flipped) if len(r.orders) > 1 else None for r in answered.records],
            limit=flipped, bootstrap=bootstrap, note="the two orders of one verdict disagree",
        ),
        _swapped_from_outside(judge, rubric, answered, asked_again, limit=flipped, bootstrap=bootstrap),
        answered.check(
            "first_shown_wins", [first_shown_won(r) for r in answered.records], limit=first_shown, bootstrap=bootstrap,
            note="share of single looks that the answer shown first won, ties half; .5 without a habit",
        ),
    ]  # fmt: skip


def first_shown_won(record: PairRecord) -> float | None:
    """The share of a verdict's looks that the answer shown first won; None where there was no look."""
    won = [{"first": 1.0, "second": 0.0, "tie": 0.5}[winner] for winner in record.orders]
    won[1:2] = [1 - second for second in won[1:2]]  # the second look was the other way round
    return sum(won) / len(won) if won else None


def _swapped_from_outside(
    judge: Judge, rubric: Rubric, answered: Answered, count: int, *, limit: Limit, bootstrap: Bootstrap
) -> Check:
    step = max(1, len(answered.questions) // max(1, count))
    places = range(0, len(answered.questions), step)[:count]
    again = judge.compare([answered.questions[at].pair.swapped for at in places], rubric) if places else []
    some = Answered(
        questions=[answered.questions[at] for at in places], records=[answered.records[at] for at in places]
    )
    changed = [_disagree(before, after) for before, after in zip(some.records, again, strict=True)]
    note = "the same pair given to the judge the other way round has another winner"
    return some.check("swapped_again_share", changed, limit=limit, bootstrap=bootstrap, note=note)


def _disagree(before: PairRecord, after: PairRecord) -> float | None:
    if before.winner is None or after.winner is None:
        return None
    return float(SWAPPED[before.winner] != after.winner)


def repeat_check(judge: Judge, rubric: Rubric, items: Sequence[Item], *, limit: Limit, bootstrap: Bootstrap) -> Check:
    """The variance of the overall score when the same answers are graded twice, in levels squared, mean of answers.

    A judge that remembers its verdicts says how it asks anew by a method `repeated(number)`, which gives a judge
    that has not answered yet; without one the judge itself is asked twice.
    """
    anew = getattr(judge, "repeated", None)
    looks = [judge.score(items, rubric), (anew(1) if anew else judge).score(items, rubric)]
    both = [[record.overall for record in records] for records in zip(*looks, strict=True)]
    known = [[score for score in scores if score is not None] for scores in both]
    variances = [float(np.var(scores, ddof=1)) for scores in known if len(scores) == 2]
    if not variances:
        return not_run("repeat_variance", limit=limit, note="no answer has two scores")
    note = "of the overall score, in levels squared"
    return of_scores("repeat_variance", variances, limit=limit, bootstrap=bootstrap, note=note)
