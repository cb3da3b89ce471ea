"""Check 5: does a judge agree with people? On PandaLM's test set (arXiv:2306.05087) and LLMBar (arXiv:2310.07641).

Both are files that the user names. PandaLM gives three people's labels a pair, so that a judge's agreement with one
of them stands beside that of two of them; LLMBar gives one label a pair, that was agreed on. Pairs that a judge
can't read it abstains on: they count in the coverage and nowhere else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.spread import spread
from tasks.judging.examination.rows import json_lines, text_field
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.verdicts import Answered, Question, ask, of_scores
from tasks.judging.judge import Judge
from tasks.judging.records import Item, Pair, Winner
from tasks.judging.rubric import Rubric
from tasks.stage import UserError

KIND = "assistant"
_LABELS: dict[str, Winner] = {"a": "first", "b": "second", "tie": "tie"}
_PUBLISHED = "GPT-3.5 agrees with the majority on 69.8 %, as published"


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """A pair and what people said of it; subset: the part of the file that it belongs to, or ""."""

    pair: Pair
    labels: tuple[Winner, ...]
    subset: str = ""

    @property
    def majority(self) -> Winner:
        """What most people said; a tie where each said something else."""
        (label, most), *rest = Counter(self.labels).most_common()
        return "tie" if rest and rest[0][1] == most else label


def read_pandalm(path: Path) -> list[Opinion]:
    """Rows of {instruction, input, response_a, response_b, labels}. Raises UserError naming the file and the line."""
    found = []
    for place, row in json_lines(path, named_by="calibrate.examination.agreement.pandalm"):
        labels = row.get("labels")
        if not isinstance(labels, list) or len(labels) < 2 or not all(label in tuple(_LABELS) for label in labels):
            raise UserError(f"{place}: the field 'labels' must hold two or more of a, b, tie; got {labels!r:.60}")
        document = text_field(row, "input", place, may_be_empty=True)
        prompt = "\n\n".join(part for part in (text_field(row, "instruction", place), document) if part)
        pair = _pair(row, place, prompt=prompt, document=document)
        found.append(Opinion(pair=pair, labels=tuple(_LABELS[label] for label in labels)))
    return _some(found, path)


def read_llmbar(path: Path) -> list[Opinion]:
    """Rows of {input, response_a, response_b, label[, subset]}. Raises UserError naming the file and the line."""
    found = []
    for place, row in json_lines(path, named_by="calibrate.examination.agreement.llmbar"):
        if row.get("label") not in ("a", "b"):
            raise UserError(f"{place}: the field 'label' must be a or b; got {row.get('label')!r:.60}")
        pair = _pair(row, place, prompt=text_field(row, "input", place), document="")
        subset = text_field(row, "subset", place) if "subset" in row else ""
        found.append(Opinion(pair=pair, labels=(_LABELS[row["label"]],), subset=subset))
    return _some(found, path)


def _pair(row: Mapping[str, Any], place: str, *, prompt: str, document: str) -> Pair:
    answers = [text_field(row, name, place) for name in ("response_a", "response_b")]
    first, second = (
        Item(prompt_id=place, kind=KIND, prompt=prompt, answer=answer, by=name, document=document)
        for name, answer in zip(("a", "b"), answers, strict=True)
    )
    return Pair(first=first, second=second)


def _some(found: list[Opinion], path: Path) -> list[Opinion]:
    if not found:
        raise UserError(f"{path}: holds no pair")
    return found


def pandalm_checks(
    judge: Judge, rubric: Rubric, opinions: Sequence[Opinion] | None, *, most: int, limit: Limit, bootstrap: Bootstrap
) -> list[Check]:
    """Agreement of the judge with one person beside that of two people, and with the majority."""
    if opinions is None:
        measures = ("agreement", "majority_agreement", "longest_agreement", "coverage", "human_agreement")
        names = [f"pandalm_{measure}" for measure in measures]
        return _not_named(names, limit, "calibrate.examination.agreement.pandalm")
    answered = _asked(judge, rubric, spread(opinions, most))
    people = of_scores(
        "pandalm_human_agreement", [_among(opinion.labels) for opinion in opinions], limit=None, bootstrap=bootstrap,
        note=f"two people of the three, all {len(opinions)} pairs",
    )  # fmt: skip
    return [
        answered.check(
            "pandalm_agreement", answered.with_people(), limit=limit, bootstrap=bootstrap,
            note=f"with one of the three people; two of them agree on {100 * (people.value or 0):.1f} %",
        ),
        answered.check(
            "pandalm_majority_agreement", answered.with_majority(), limit=None, bootstrap=bootstrap, note=_PUBLISHED
        ),
        answered.check(
            "pandalm_longest_agreement", answered.with_people(by_length=True), limit=None, bootstrap=bootstrap,
            note="a baseline on the pairs that have a verdict: what picking the longer one scores",
        ),
        answered.coverage("pandalm_coverage", bootstrap),
        people,
    ]  # fmt: skip


def llmbar_checks(
    judge: Judge, rubric: Rubric, opinions: Sequence[Opinion] | None, *, most: int, limit: Limit, bootstrap: Bootstrap
) -> list[Check]:
    """Accuracy on LLMBar, ties half, overall and by subset."""
    if opinions is None:
        return _not_named(
            ("llmbar_accuracy", "llmbar_longest_accuracy", "llmbar_coverage"),
            limit,
            "calibrate.examination.agreement.llmbar",
        )
    answered = _asked(judge, rubric, spread(opinions, most))
    checks = [
        answered.check(
            "llmbar_accuracy",
            answered.right(),
            limit=limit,
            bootstrap=bootstrap,
            note="a tie counts half; chance is .5",
        ),
        answered.check(
            "llmbar_longest_accuracy",
            answered.right_by_length(),
            limit=None,
            bootstrap=bootstrap,
            note="a baseline on the pairs that have a verdict: what picking the longer one scores",
        ),
        answered.coverage("llmbar_coverage", bootstrap),
    ]
    for subset in sorted({opinion.subset for opinion in opinions} - {""}):
        own = answered.only(lambda q, subset=subset: q.kind == subset)  # type: ignore[misc]
        checks.append(own.check(f"llmbar_{subset}_accuracy", own.right(), limit=None, bootstrap=bootstrap))
    return checks


@dataclass(frozen=True, kw_only=True)
class WithPeople(Answered):
    """Answered questions with the opinions that they were made of."""

    opinions: Sequence[Opinion] = ()

    def with_people(self, *, by_length: bool = False) -> list[float | None]:
        """The share of the people who said what the judge says, or (by_length) that the longer answer is better."""
        told = [
            record.winner and (question.longer if by_length else record.winner)
            for question, record in zip(self.questions, self.records, strict=True)
        ]
        return [_shared(winner, opinion.labels) for winner, opinion in zip(told, self.opinions, strict=True)]

    def with_majority(self) -> list[float | None]:
        return [
            _shared(record.winner, (opinion.majority,))
            for record, opinion in zip(self.records, self.opinions, strict=True)
        ]

    def coverage(self, name: str, bootstrap: Bootstrap) -> Check:
        told = [float(record.status == "ok") for record in self.records]
        why = Counter(record.status for record in self.records if record.status != "ok")
        note = ", ".join(f"{count} {status}" for status, count in sorted(why.items()))
        return self.check(name, told, limit=None, bootstrap=bootstrap, note=note)


def _shared(winner: Winner | None, labels: Sequence[Winner]) -> float | None:
    return None if winner is None else sum(label == winner for label in labels) / len(labels)


def _asked(judge: Judge, rubric: Rubric, opinions: Sequence[Opinion]) -> WithPeople:
    questions = [
        Question(pair=one.pair, better=one.majority, group=one.pair.first.prompt, kind=one.subset) for one in opinions
    ]
    answered = ask(judge, questions, rubric)
    return WithPeople(questions=questions, records=answered.records, opinions=opinions)


def _among(labels: Sequence[Winner]) -> float:
    """The share of pairs of people who said the same."""
    told = [first == second for first, second in combinations(labels, 2)]
    return sum(told) / len(told)


def _not_named(names: Sequence[str], limit: Limit, parameter: str) -> list[Check]:
    note = f"no file is named ({parameter})"
    return [not_run(name, limit=limit if at == 0 else None, note=note) for at, name in enumerate(names)]
