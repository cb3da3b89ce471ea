"""Check 4: does the longer answer win because it is longer? Asked of length-balanced pairs."""

from tasks.evaluation.intervals import Bootstrap
from tasks.judging.examination.scorecard import Check, Limit
from tasks.judging.examination.verdicts import Answered, credit


def length_checks(answered: Answered, *, longer: Limit, bootstrap: Bootstrap) -> list[Check]:
    """P(the longer answer wins), ties half, and what `always the longest` would score on the same pairs."""
    told = answered.only(lambda q: q.longer != "tie")
    longer_wins = [credit(r.winner, q.longer) for q, r in zip(told.questions, told.records, strict=True)]
    by_length = [credit(q.longer, q.better) for q in answered.questions]
    note = "longer in characters; .5 without a habit"
    return [
        told.check("longer_wins", longer_wins, limit=longer, bootstrap=bootstrap, note=note),
        answered.check(
            "always_longest_accuracy", by_length, limit=None, bootstrap=bootstrap,
            note="a baseline on the corrupted pairs: what picking the longer one scores",
        ),
    ]  # fmt: skip
