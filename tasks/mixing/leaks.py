"""What may not stay: copies, what stands in anything evaluated or judged, what is not for children."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.cleaning import contamination
from tasks.cleaning.contamination import ContaminationParams, EvaluationFiles
from tasks.cleaning.safety import Safety, SafetyParams
from tasks.cleaning.words import Hashes, hash_words, split_words
from tasks.mixing.example import Example, Rejected, normal

LONG_ANSWER_WORDS = 8  # from here on an answer is a text of its own: two that are equal are copies
TELLING_WORDS = 4  # fewer words of a request stand in external files by chance

_HELD_OUT_FIRST = ("written", "test", "validation", "train")


def without_unsafe(examples: Sequence[Example], policy: SafetyParams | None) -> tuple[list[Example], list[Rejected]]:
    """Leaves out what the policy forbids, of everything that is not from our own stories."""
    if policy is None or not any(example.is_outside for example in examples):
        return list(examples), []
    safety = Safety(policy)
    kept: list[Example] = []
    rejected: list[Rejected] = []
    for example in examples:
        text = f"{example.prompt}\n{example.answer}"
        finding = safety.check(text, split_words(text)) if example.is_outside else None
        if finding is None:
            kept.append(example)
        else:
            rejected.append(Rejected(example=example, reason="unsafe", detail=f"{finding.category}: {finding.shown}"))
    return kept, rejected


def without_copies(examples: Sequence[Example]) -> tuple[list[Example], list[Rejected]]:
    """Leaves out equal examples, and in evaluation splits a request that is asked already.

    What stays knows all answers to its request in its split: `references`. Of two equal ones the evaluated stays.
    """
    answers: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    first: dict[tuple[str, str, str], Example] = {}
    seen: set[str] = set()
    kept: list[Example] = []
    rejected: list[Rejected] = []
    for example in sorted(examples, key=lambda one: _HELD_OUT_FIRST.index(one.split)):
        asked = (example.split, example.task, example.prompt)
        if example.has_answer and example.answer not in answers[asked]:
            answers[asked].append(example.answer)
        if example.id in seen:
            rejected.append(Rejected(example=example, reason="duplicate", detail=f"equal to {example.id}"))
        elif example.split != "train" and asked in first:
            told = f"the same request as {first[asked].id}; its answer is one of the references there"
            rejected.append(Rejected(example=example, reason="duplicate", detail=told))
        else:
            first.setdefault(asked, example)
            kept.append(example)
        seen.add(example.id)
    return [
        _with_references(example, answers[example.split, example.task, example.prompt]) for example in kept
    ], rejected


def _with_references(example: Example, answers: Sequence[str]) -> Example:
    others = [answer for answer in answers if answer != example.answer]
    return replace(example, references=(example.answer, *others)) if others else example


@dataclass
class _HeldOut:
    """Where each key was seen first: a group, a text of a request, a long answer."""

    keys: dict[str, str] = field(default_factory=dict)

    def add(self, example: Example) -> None:
        for key in _keys(example):
            self.keys.setdefault(key, f"{example.id} of {example.split}")

    def find(self, example: Example) -> str | None:
        return next((f"{key[:60]!r} stands in {self.keys[key]}" for key in _keys(example) if key in self.keys), None)


def _keys(example: Example) -> list[str]:
    answer = split_words(example.answer)
    long_answer = [" ".join(answer)] if len(answer) >= LONG_ANSWER_WORDS else []
    return [f"group: {example.group}", *example.keys, *long_answer]


def without_leaks(examples: Sequence[Example]) -> tuple[list[Example], list[Rejected]]:
    """Leaves out of validation what stands in test or written, and of train what stands in any of the three."""
    held_out = _HeldOut()
    rejected: list[Rejected] = []
    leaking: set[int] = set()
    for split in _HELD_OUT_FIRST:
        part = [example for example in examples if example.split == split]
        for example in part if split in ("validation", "train") else ():
            if (found := held_out.find(example)) is not None:
                rejected.append(Rejected(example=example, reason="leak", detail=found))
                leaking.add(id(example))
        for example in part:
            if id(example) not in leaking:
                held_out.add(example)
    return [example for example in examples if id(example) not in leaking], rejected


def without_external(
    examples: Sequence[Example], params: ContaminationParams, folder: Path
) -> tuple[list[Example], list[Rejected]]:
    """Leaves out of train and validation what stands in files that are evaluated or judged on.

    By the share of its n-grams, or as a whole text where it has too few words for one.
    """
    if not params.evaluation:
        return list(examples), []
    index, whole = _external(params, folder)
    texts = [split_words(f"{example.prompt}\n{example.answer}") for example in examples]
    shares = contamination.shares_in(index, hash_words(texts), params.ngram)
    kept: list[Example] = []
    rejected: list[Rejected] = []
    for example, share in zip(examples, shares, strict=True):
        problem = _external_problem(example, float(share), whole, params)
        if problem and example.split in ("train", "validation"):
            rejected.append(Rejected(example=example, reason="contaminated", detail=problem))
        else:
            kept.append(example)
    return kept, rejected


def _external(params: ContaminationParams, folder: Path) -> tuple[Hashes, set[str]]:
    files = [EvaluationFiles(files=str(folder / entry.files), fields=entry.fields) for entry in params.evaluation]
    texts = list(contamination.evaluation_texts(files, key="mix.contamination"))
    return contamination.index_texts(texts, params.ngram), {normal(text) for text in texts}


def _external_problem(example: Example, share: float, whole: set[str], params: ContaminationParams) -> str | None:
    if share >= params.max_share:
        return f"{share:.0%} of its {params.ngram}-grams stand in evaluation files"
    asked = [normal(text) for text in (*example.asked, " ".join(example.asked))]
    equal = [text for text in asked if text in whole and len(text.split()) >= TELLING_WORDS]
    return f"{equal[0][:60]!r} stands in evaluation files" if equal else None
