"""What people wrote or rated highly, of the batches collected so far, as one more source of training examples."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.mixing.decided import CORRECTION, RATING, Decided, decided
from tasks.mixing.declarations import FeedbackParams, TaskParams
from tasks.mixing.example import Example, Rejected, group_name, normal
from tasks.records import FEEDBACK_SOURCE
from tasks.reviews.batch_file import Feedback, Prompt
from tasks.reviews.clusters import Known, place

STORY = "story"  # what reviews call a request for one: the mixture has it among a task for assistants
ORIGIN = "feedback"

REASONS = (
    "not_for_training",  # decisions: gold, shown again, or a prompt of another split
    "unchanged",  # answers, from here on: shown to be corrected, and left as they were
    "corrected",  # rated, and somebody wrote a better one
    "people_differ",  # corrections that as many people found needless or changed again, or that were rated low
    "corrections_off",  # by parameter
    "empty",
    "few_ratings",
    "low_rating",
    "no_task",  # the mixture has no task, or several, for such a prompt
    "unknown_label",
    *("unsafe", "leak", "duplicate", "contaminated", "too_long"),  # those of `mix`
)


@dataclass(frozen=True, kw_only=True)
class FeedbackExamples:
    """The examples, and by their ids why each is learnt from and the decisions that say so.

    left_out: the others by REASONS; decisions: how many were read.
    """

    examples: Sequence[Example] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    decisions: int = 0

    def figures(self, kept: Iterable[Example], rejected: Iterable[Rejected]) -> dict[str, int]:
        """What the mixture holds of it in the end, and what it does not."""
        why = Counter(self.why[example.id] for example in kept if example.source == FEEDBACK_SOURCE)
        late = Counter(found.reason for found in rejected if found.example.source == FEEDBACK_SOURCE)
        left_out = self.left_out + late
        return {
            "feedback_decisions": self.decisions,
            "feedback_corrections": why[CORRECTION],
            "feedback_ratings": why[RATING],
            **{f"feedback_left_out_{reason}": left_out[reason] for reason in REASONS},
        }

    def manifest(self, kept: Iterable[Example]) -> str:
        """JSON, for tracing: each example with the decisions that it was made of; "" where there is none."""
        rows = [
            {"id": example.id, "why": self.why[example.id], "decisions": list(self.origins[example.id])}
            for example in kept
            if example.source == FEEDBACK_SOURCE
        ]
        if not rows:
            return ""
        told = [decision for row in rows for decision in self.origins[str(row["id"])]]
        counts = {
            name: dict(Counter(str(decision[key]) for decision in told))
            for name, key in (("batches", "batch"), ("reviewers", "reviewer"))
        }
        return json.dumps({"examples": rows, **counts}, indent=2, sort_keys=True) + "\n"


def feedback_examples(
    rows: Sequence[Feedback], others: Sequence[Example], tasks: Sequence[TaskParams], params: FeedbackParams
) -> FeedbackExamples:
    """Examples of corrected and of highly rated answers, each once, all for training.

    rows: of all batches. others: the mixture's other examples, before any is left out: one that asks the same lends its
    task, group, document and constraints.
    """
    usable = [row for row in rows if row.kind in (CORRECTION, RATING) and row.is_for_training]
    left_out = Counter({"not_for_training": sum(row.kind in (CORRECTION, RATING) for row in rows) - len(usable)})
    making = _Making(others, tasks, params)
    examples: list[Example] = []
    why, origins = {}, {}
    for answer in decided(usable):
        made = answer.problem(params) or making.example(answer)
        if isinstance(made, str):
            left_out[made] += 1
        else:
            examples.append(made)
            why[made.id] = answer.why(params)
            origins[made.id] = [row.origin for row in answer.decisions(params)]
    return FeedbackExamples(examples=examples, why=why, origins=origins, left_out=left_out, decisions=len(rows))


def without_near(examples: Sequence[Example], *, jaccard: float) -> tuple[list[Example], list[Rejected]]:
    """Leaves out what people said to prompts that are near to held-out ones, by the words' shingles, as `pair` does."""
    asked = {example.id: example.prompt for example in examples if example.source == FEEDBACK_SOURCE}
    if not asked:
        return list(examples), []
    known = [
        Known(id=example.id, text=example.prompt, cluster=example.id, split="holdout")
        for example in examples
        if example.split != "train"
    ]
    near = place(asked, known, split="train", jaccard=jaccard).refused
    kept = [example for example in examples if example.source != FEEDBACK_SOURCE or example.id not in near]
    told = "the request is near to one that is held out"
    refused = [example for example in examples if example.source == FEEDBACK_SOURCE and example.id in near]
    return kept, [Rejected(example=example, reason="leak", detail=told) for example in refused]


class _Making:
    """Makes examples like the mixture's others."""

    def __init__(self, others: Sequence[Example], tasks: Sequence[TaskParams], params: FeedbackParams) -> None:
        self._tasks = tasks
        self._params = params
        self._by_id = {example.id: example for example in others}
        self._by_prompt = {example.prompt: example for example in reversed(others)}
        self._labels = {(example.task, example.label) for example in others}

    def example(self, answer: Decided) -> Example | str:
        """The example, or why there is none."""
        asked = self._by_id.get(answer.prompt.id) or self._by_prompt.get(answer.prompt.text.strip())
        asked = asked or self._unknown(answer.prompt)
        if asked is None:
            return "no_task"
        label = answer.text if asked.kind == "classification" else ""
        if label and (asked.task, label) not in self._labels:
            return "unknown_label"
        decisions = [row.origin for row in answer.decisions(self._params)]
        told = [f"{one['batch']}/{one['annotation']} {one['reviewer']}" for one in decisions]
        return replace(
            asked, source=FEEDBACK_SOURCE, licence=self._params.licence, origin=f"{ORIGIN}: {', '.join(told)}",
            split="train", place=f"{FEEDBACK_SOURCE} {told[0]}", answer=answer.text, label=label,
            weight=self._params.repeat, references=(), has_answer=True, is_outside=True, is_cut=answer.is_cut,
        )  # fmt: skip

    def _unknown(self, prompt: Prompt) -> Example | None:
        """A request that the mixture does not hold, with the one task of its kind; nothing of it is known to check."""
        kind = "assistant" if prompt.task == STORY else prompt.task
        tasks = [task for task in self._tasks if task.kind == kind]
        if len(tasks) != 1:
            return None
        keys = (normal(prompt.text), normal(prompt.document))
        return Example(
            task=tasks[0].name, kind=kind, source=FEEDBACK_SOURCE, licence=self._params.licence, origin=ORIGIN,
            group=group_name(prompt.document or prompt.text), split="train", place=prompt.id,
            prompt=prompt.text.strip(), answer="", document=prompt.document, aspect=prompt.task,
            keys=tuple(key for key in keys if key), asked=(prompt.text,),
        )  # fmt: skip
