"""Check 1: does a judge prefer a held-out story to the same story with a labelled fault in it?

The pairs are length-balanced: in half of them the corrupted text is the longer one, in the other half the clean
one. A fault that makes a text shorter or longer would otherwise be known by its length. The one that is to be the
longer gets plain sentences that fit any story and hold no fault (faults.yaml), at the end, or at the beginning
where the fault is at the end; at least one always, so that their being there says nothing either. Which of the two
is shown first is balanced too.

No judge here is fitted on corruptions, so every type is one that it has not seen: leaving a type out changes
nothing, and the figure of a type is its leave-one-type-out figure. Beside it stands the mean of the others.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tasks.cleaning.words import split_words
from tasks.evaluation.intervals import Bootstrap
from tasks.judging.examination import faults
from tasks.judging.examination.faults import Generator, Setting, material
from tasks.judging.examination.scorecard import Check, Limit
from tasks.judging.examination.stories import Story
from tasks.judging.examination.verdicts import Answered, Question, question

UNSEEN = "unseen, since no judge is fitted on corruptions"


@dataclass(frozen=True)
class Kind:
    """A kind of fault, the axis that should notice it, and the end of a text at which it leaves room."""

    name: str
    axis: str
    generate: Generator
    room: str = "end"


KINDS = (
    Kind("misspelling", "grammar", faults.misspelling),
    Kind("agreement", "grammar", faults.agreement),
    Kind("verb_form", "grammar", faults.verb_form),
    Kind("dropped_article", "grammar", faults.dropped_article),
    Kind("swapped_words", "grammar", faults.swapped_words),
    Kind("shuffled_sentences", "choice_of_story", faults.shuffled_sentences),
    Kind("cut_ending", "choice_of_story", faults.cut_ending, "start"),
    Kind("off_topic", "choice_of_story", faults.off_topic),
    Kind("repetition", "creativity", faults.repetition),
    Kind("grown_up_words", "age_appropriateness", faults.grown_up_words),
    Kind("unsafe_insertion", "age_appropriateness", faults.unsafe_insertion),
)


def corrupted_pairs(stories: Sequence[Story], *, a_kind: int, faults_a_text: int, seed: int) -> list[Question]:
    """`a_kind` questions of each kind, fewer where the stories give no more. The same seed gives the same ones."""
    setting = _setting(stories, faults_a_text)
    return [one for kind in KINDS for one in _pairs(kind, stories, setting, count=a_kind, seed=seed)]


def _setting(stories: Sequence[Story], faults_a_text: int) -> Setting:
    vocabulary: set[str] = set()
    countable: set[str] = set()
    for story in stories:
        words = split_words(story.text)
        vocabulary.update(words)
        countable.update(after for word, after in pairwise(words) if word in ("a", "an"))
    return Setting(
        faults=faults_a_text, others=stories, vocabulary=frozenset(vocabulary), countable=frozenset(countable - _MASS)
    )


_MASS = frozenset({"little", "few", "lot", "bit", "water", "rain", "snow", "milk", "bread", "light", "music", "air"})


def _pairs(kind: Kind, stories: Sequence[Story], setting: Setting, *, count: int, seed: int) -> list[Question]:
    rng = random.Random(f"{seed} {kind.name}")  # noqa: S311 - draws stories
    found: list[Question] = []
    for story in rng.sample(stories, len(stories)):
        if len(found) == count:
            break
        bad = kind.generate(story, setting, rng)
        if bad is None or bad == story.text or (kind.name != "off_topic" and not story.meets_request(bad)):
            continue
        good = story.text
        if len(found) % 2:  # the corrupted text is to be the longer
            bad = lengthened(bad, beyond=good, room=kind.room, rng=rng)
        else:
            good = lengthened(good, beyond=bad, room=kind.room, rng=rng)
        found.append(
            question(
                better=good, worse=bad, asked=story.item, better_first=len(found) // 2 % 2 == 0, group=story.id,
                kind=kind.name, axis=kind.axis,
            )
        )  # fmt: skip
    return found


def lengthened(text: str, *, beyond: str, room: str, rng: random.Random) -> str:
    """A text with plain sentences at its end, or its start, until it has more characters than another; one at least.

    No sentence is put twice into a text, except where even all of them are too few.
    """
    plain = material()["closings" if room == "end" else "openings"]
    left: list[str] = []
    while True:
        left = left or rng.sample(plain, len(plain))
        added = left.pop()
        text = f"{text} {added}" if room == "end" else f"{added} {text}"
        if len(text) > len(beyond):
            return text


def corruption_checks(
    answered: Answered, *, overall: Limit, a_kind: Limit, an_axis: Limit, covered: Limit, bootstrap: Bootstrap
) -> list[Check]:
    """Accuracy overall, by kind with the mean of the others beside, and by axis (the axis's own winner)."""
    checks = [
        answered.check("corruption_accuracy", answered.right(), limit=overall, bootstrap=bootstrap, note=UNSEEN),
        answered.check(
            "corruption_coverage", [float(r.status == "ok") for r in answered.records], limit=covered,
            bootstrap=bootstrap, note="share of the pairs that have a verdict",
        ),
    ]  # fmt: skip
    for kind in KINDS:
        checks += _kind_checks(answered, kind, a_kind, bootstrap)
    for axis in dict.fromkeys(kind.axis for kind in KINDS):
        own = answered.only(lambda q, axis=axis: q.axis == axis)  # type: ignore[misc]
        told = [kind.name for kind in KINDS if kind.axis == axis]
        note = f"winner on this axis; {', '.join(told)}"
        checks.append(
            own.check(
                f"axis_{axis}_accuracy", own.right_on(axis), limit=an_axis, bootstrap=bootstrap, axis=axis, note=note
            )
        )
    return checks


def _kind_checks(answered: Answered, kind: Kind, limit: Limit, bootstrap: Bootstrap) -> list[Check]:
    """The row of a kind; in its note, and as figures, the winner on the kind's axis and the mean of all others."""
    own = answered.only(lambda q: q.kind == kind.name)
    rest = answered.only(lambda q: q.kind != kind.name)
    name = f"corruption_{kind.name}"
    others = rest.check(f"{name}_others_accuracy", rest.right(), limit=None, bootstrap=bootstrap)
    on_axis = own.check(f"{name}_axis_accuracy", own.right_on(kind.axis), limit=None, bootstrap=bootstrap)
    noticed = "no verdict" if on_axis.value is None else f"{on_axis.value:.3f}"
    beside = "no verdict" if others.value is None else f"{others.value:.3f}"
    note = f"on {kind.axis}, which should notice it, {noticed}; the other types {beside}; {UNSEEN}"
    return [
        own.check(f"{name}_accuracy", own.right(), limit=limit, bootstrap=bootstrap, note=note),
        replace(on_axis, shown=False),
        replace(others, shown=False),
    ]
