"""Check 7: does a judge prefer the right one of two sentences that differ in one fault of grammar?"""

from collections.abc import Sequence

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.pairs import MinimalPair
from tasks.judging.examination.scorecard import Check, Limit
from tasks.judging.examination.verdicts import Answered, Question, ask, question
from tasks.judging.judge import Judge
from tasks.judging.records import Item
from tasks.judging.rubric import Rubric

AXIS = "grammar"
REQUEST = "Write a sentence."
_SHOWN = 4  # phenomena in the note


def grammar_check(
    judge: Judge, rubric: Rubric, pairs: Sequence[MinimalPair], *, origin: str, limit: Limit, bootstrap: Bootstrap
) -> Check:
    """Accuracy of the winner on the axis grammar; the note names the phenomena with the lowest.

    origin: "" for the storybook's own pairs, else the name of a file.
    """
    answered = ask(judge, [_question(at, pair) for at, pair in enumerate(pairs)], rubric)
    name = f"grammar_{origin}_accuracy" if origin else "grammar_accuracy"
    note = f"winner on this axis; lowest: {_lowest(answered)}"
    return answered.check(name, answered.right_on(AXIS), limit=limit, bootstrap=bootstrap, axis=AXIS, note=note)


def _question(at: int, pair: MinimalPair) -> Question:
    asked = Item(prompt_id=f"grammar-{at}", kind="story", prompt=REQUEST, answer="", by="")
    return question(
        better=pair.good, worse=pair.bad, asked=asked, better_first=at % 2 == 0, group=f"{at}", kind=pair.phenomenon,
        axis=AXIS,
    )  # fmt: skip


def _lowest(answered: Answered) -> str:
    shares = []
    for phenomenon in sorted({q.kind for q in answered.questions} - {""}):
        told = [one for one in answered.only(lambda q, p=phenomenon: q.kind == p).right_on(AXIS) if one is not None]  # type: ignore[misc]
        if told:
            shares.append((sum(told) / len(told), phenomenon))
    return ", ".join(f"{phenomenon} {share:.2f}" for share, phenomenon in sorted(shares)[:_SHOWN]) or "no verdict"
