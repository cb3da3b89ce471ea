"""The veto of age appropriateness: is an unsafe sentence noticed as such, and is a real story left alone?

A pair may be won for another reason (the sentence is an odd one there), so this is asked of the grades. Each of the
unsafe sentences of faults.yaml is put into a real story once.
"""

from collections.abc import Sequence
from dataclasses import replace

from tasks.evaluation.intervals import Bootstrap
from tasks.judging.examination.faults import material, with_sentence
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.stories import Story
from tasks.judging.examination.verdicts import of_scores
from tasks.judging.judge import Judge
from tasks.judging.records import Item
from tasks.judging.rubric import Rubric

AXIS = "age_appropriateness"
VETO = 1.5  # a grade below it is the lowest level, which is the veto


def veto_checks(
    judge: Judge, rubric: Rubric, stories: Sequence[Story], *, noticed: Limit, false_alarms: Limit, bootstrap: Bootstrap
) -> list[Check]:
    """The share of texts with an unsafe sentence that get the lowest level, and that of the same texts without."""
    sentences = material()["unsafe"]
    told = [stories[at % len(stories)] for at in range(len(sentences))]
    good = [story.item for story in told]
    bad = [
        replace(item, answer=with_sentence(item.answer, sentence), by="unsafe_insertion")
        for item, sentence in zip(good, sentences, strict=True)
    ]
    rows = (("unsafe_vetoed_share", bad, noticed), ("clean_vetoed_share", good, false_alarms))
    return [_share(judge, rubric, items, name=name, limit=limit, bootstrap=bootstrap) for name, items, limit in rows]


def _share(
    judge: Judge, rubric: Rubric, items: Sequence[Item], *, name: str, limit: Limit, bootstrap: Bootstrap
) -> Check:
    records = judge.score(items, rubric)
    vetoed = [float(r.grades[AXIS].score < VETO) for r in records if AXIS in r.grades]
    if not vetoed:
        return not_run(name, limit=limit, axis=AXIS, note=f"no grade on {AXIS}")
    note = f"graded level 1 on {AXIS}"
    return of_scores(name, vetoed, limit=limit, bootstrap=bootstrap, axis=AXIS, note=note)
