"""Check 1 for the rubric's other part: right answers about the stories against answers with a labelled fault.

The questions and summaries are those that were written with the stories; a story without any gives none. A judge
is given the reference, as it is when models are judged; the right answer is near to it, so most kinds are easy ones.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.cleaning.words import split_words
from tasks.evaluation.constraints import holds_sentence
from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.language import STOP_WORDS, sentences
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.stories import Story
from tasks.judging.examination.verdicts import Answered, Question, question
from tasks.judging.records import Item
from tasks.judging.rubric import Rubric

SUMMARY_REQUEST = "Tell it in one sentence."
_LEAST_WORDS = 8  # of a summary that can be taken apart


@dataclass(frozen=True, kw_only=True)
class Task:
    """A request about a story, a right answer to it, and one to another request of the same form."""

    asked: Item
    right: str
    other: str


def _scrambled(task: Task, rng: random.Random) -> str:
    words = task.right.rstrip(".").split()
    rng.shuffle(words)
    return " ".join(words) + "."


def _derailed(task: Task, rng: random.Random) -> str:
    """Half of the right answer, then half of one about another story."""
    first, second = task.right.split(), task.other.split()
    return " ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])


def _broken_off(task: Task, rng: random.Random) -> str:
    words = task.right.split()
    return " ".join(words[: len(words) // 3])


def _summaries(stories: Sequence[Story]) -> list[Task]:
    """A summary a story, and that of the next one."""
    told = [story for story in stories if len(story.summary.split()) >= _LEAST_WORDS]
    return [
        Task(
            asked=_item(story, "summarization", SUMMARY_REQUEST, story.summary),
            right=f"In short: {story.summary}", other=f"In short: {other.summary}",
        )
        for story, other in zip(told, told[1:] + told[:1], strict=True)
        if other is not story
    ]  # fmt: skip


def _questions(stories: Sequence[Story]) -> list[Task]:
    """One question a story, whose answer shares no word with that to another question about the same story."""
    found = []
    for story in stories:
        for (asked, right), (_, other) in pairwise(story.questions):
            if not set(split_words(right)) & set(split_words(other)):
                item = _item(story, "assistant", asked, right)
                found.append(Task(asked=item, right=_sentence(right), other=_sentence(other)))
                break
    return found


def _quotations(stories: Sequence[Story]) -> list[Task]:
    """One question a story, answered by the sentence that holds the answer; the other one shares no word with it."""
    found = []
    for story in stories:
        for asked, right in story.questions:
            holding, others = _parted(sentences(story.text), right)
            if holding and others:
                item = _item(story, "assistant", asked, right)
                found.append(Task(asked=item, right=holding[0], other=others[len(others) // 2]))
                break
    return found


def _parted(told: Sequence[str], answer: str) -> tuple[list[str], list[str]]:
    """The sentences that hold an answer, and those that share none of its words."""
    words = set(split_words(answer)) - STOP_WORDS
    holding = [one for one in told if holds_sentence(one, answer)]
    return holding, [one for one in told if words and not words & set(split_words(one))]


@dataclass(frozen=True)
class TaskKind:
    """A kind of fault in an answer, and the axis that should notice it."""

    name: str
    axis: str
    tasks: Callable[[Sequence[Story]], list[Task]]
    spoil: Callable[[Task, random.Random], str]


KINDS = (
    TaskKind("wrong_answer", "factual_accuracy", _questions, lambda task, rng: task.other),
    TaskKind("wrong_sentence", "factual_accuracy", _quotations, lambda task, rng: task.other),
    TaskKind("other_summary", "factual_accuracy", _summaries, lambda task, rng: task.other),
    TaskKind("no_answer", "helpfulness", _questions, lambda task, rng: "I don't know."),
    TaskKind("repeated_request", "helpfulness", _summaries, lambda task, rng: SUMMARY_REQUEST),
    TaskKind("scrambled", "quality", _summaries, _scrambled),
    TaskKind("broken_off", "quality", _summaries, _broken_off),
    TaskKind("derailed", "coherence", _summaries, _derailed),
)


def task_pairs(stories: Sequence[Story], *, a_kind: int, seed: int) -> list[Question]:
    """At most `a_kind` questions of each kind; which answer is shown first alternates."""
    rng = random.Random(f"{seed} task answers")  # noqa: S311 - draws stories
    found: list[Question] = []
    for kind in KINDS:
        tasks = kind.tasks(rng.sample(stories, len(stories)))
        for at, task in enumerate(tasks[:a_kind]):
            found.append(
                question(
                    better=task.right, worse=kind.spoil(task, rng), asked=task.asked, better_first=at % 2 == 0,
                    group=task.asked.prompt_id, kind=kind.name, axis=kind.axis,
                )
            )  # fmt: skip
    return found


def _sentence(answer: str) -> str:
    return f"{answer[:1].upper()}{answer[1:].rstrip('.')}."


def _item(story: Story, kind: str, request: str, reference: str) -> Item:
    return Item(
        prompt_id=f"examination-{kind}-{story.id}", kind=kind, prompt=f"{story.text}\n\n{request}", answer="", by="",
        references=(reference,), document=story.text,
    )  # fmt: skip


def task_checks(
    answered: Answered, rubric: Rubric, *, overall: Limit, an_axis: Limit, bootstrap: Bootstrap
) -> list[Check]:
    """Accuracy overall, by kind, and by axis of the rubric's part `task` (the axis's own winner)."""
    if not answered.questions:
        why = "the stories come with no question and no summary"
        axes = [not_run(f"axis_{axis}_accuracy", limit=an_axis, axis=axis, note=why) for axis in rubric.task]
        return [not_run("task_accuracy", limit=overall, note=why), *axes]
    checks = [answered.check("task_accuracy", answered.right(), limit=overall, bootstrap=bootstrap)]
    for kind in KINDS:
        own = answered.only(lambda q, name=kind.name: q.kind == name)  # type: ignore[misc]
        note = f"to be noticed by {kind.axis}"
        checks.append(own.check(f"task_{kind.name}_accuracy", own.right(), limit=None, bootstrap=bootstrap, note=note))
    for axis in rubric.task:
        own = answered.only(lambda q, axis=axis: q.axis == axis)  # type: ignore[misc]
        told = ", ".join(kind.name for kind in KINDS if kind.axis == axis)
        name, note = f"axis_{axis}_accuracy", f"winner on this axis; {told}"
        checks.append(own.check(name, own.right_on(axis), limit=an_axis, bootstrap=bootstrap, axis=axis, note=note))
    return checks
