"""The stage `mix`: the sources of all tasks to one instruction mixture, and its token files."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import stage
from tasks.cleaning.safety import SafetyParams, safety_policy
from tasks.mixing import leaks, tokens
from tasks.mixing.declarations import PLAIN_VIEWS, MixParams, StorybookSource, TaskParams
from tasks.mixing.example import REJECTED_SCHEMA, SCHEMA, SPLITS, Example, Rejected
from tasks.mixing.feedback import FeedbackExamples, feedback_examples, without_near
from tasks.mixing.sources import instruction_examples, rows_examples
from tasks.mixing.storybook import read_stories, storybook_examples
from tasks.mixing.suite import check
from tasks.mixing.tokens import Encoded
from tasks.records import RecordWriter
from tasks.reviews.batch_file import read_folder
from tasks.stage import UserError
from tasks.tokenizer_kinds import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

REASONS = ("unsafe", "leak", "duplicate", "contaminated", "too_long")  # and what bad_rows keeps apart

Filtered = tuple[list[Example], list[Rejected]]


def mix(
    params: MixParams,
    *,
    clean: Path,
    tokenizer: Path,
    instructions: Path,
    feedback: Path,
    mixture: Path,
    metrics: Path,
) -> None:
    """Builds the mixture: examples of every declared task, split by source, checked, as tables and as tokens.

    In `mixture`: SPLIT.parquet, rejected.parquet (with reason and detail), tasks.json (what was declared, as
    the metrics that `evaluate` goes by, and each classification's labels), tokens/ (see `tokens.write_tokens`), and
    where people's answers are in it feedback.json (which decisions they are of). It is written whole or not at all.
    Raises UserError naming the task and the row of what can't be used, or the expectation that failed.
    """
    loaded = load_tokenizer(tokenizer)
    examples, rejected, left_out = _read(params, clean=clean, instructions=instructions, tokenizer=loaded)
    said = _said(feedback, examples, params)
    examples += said.examples
    records_in = len(examples) + len(rejected)
    kept, dropped = _filtered(examples, params)
    encoded, too_long = tokens.without_too_long(tokens.encode(kept, loaded), params)
    rejected += [*dropped, *too_long]
    _refuse_what_is_missing(encoded, rejected, params)
    expectations = check(encoded, params)
    kept = [one.example for one in encoded]
    _write(mixture, encoded, rejected, loaded, params, decisions=said.manifest(kept))
    figures = _figures(encoded, rejected, params)
    stage.write_metrics(
        metrics,
        {"records_in": records_in, "records_left_out": left_out, "expectations": expectations, **figures,
         **said.figures(kept, rejected)},
    )  # fmt: skip
    log.info("%d of %d examples kept, of %d tasks", len(encoded), records_in, len(params.tasks))


def _read(
    params: MixParams, *, clean: Path, instructions: Path, tokenizer: "Tokenizer"
) -> tuple[list[Example], list[Rejected], int]:
    """All sources' examples, the rows kept apart, and how many good rows are beyond a source's maximum."""
    sources = [(source, task) for task in params.tasks for source in task.sources]
    views = {source.view for source, _ in sources if isinstance(source, StorybookSource)}
    stories = read_stories(clean, plain=not views.isdisjoint(PLAIN_VIEWS)) if views else []
    examples: list[Example] = []
    rejected: list[Rejected] = []
    left_out = 0
    for source, task in sources:
        if isinstance(source, StorybookSource):
            found, available = storybook_examples(stories, source, task, params)
            if not found:
                raise UserError(f"task '{task.name}': source '{source.name}' yields nothing ({clean})")
        else:
            found, apart, available = rows_examples(source, task, params, tokenizer=tokenizer)
            rejected += apart
        examples += found
        left_out += available - len(found)
        log.info("'%s' of %s: %d of %d examples", source.name, task.name, len(found), available)
    made, apart, _ = instruction_examples(instructions, params)
    return [*examples, *made], [*rejected, *apart], left_out


def _said(folder: Path, others: Sequence[Example], params: MixParams) -> FeedbackExamples:
    """What people said of answers, where it is used. Raises UserError where a batch file is not what it should be."""
    rows = read_folder(folder) if params.feedback.use else []
    return feedback_examples(rows, others, params.tasks, params.feedback) if rows else FeedbackExamples()


def _filtered(examples: list[Example], params: MixParams) -> Filtered:
    """Without what is unsafe, a leak, a copy, or stands in external evaluation files; in this order."""
    steps: list[Callable[[list[Example]], Filtered]] = [
        lambda found: leaks.without_unsafe(found, _policy(found, params)),
        leaks.without_leaks,
        lambda found: without_near(found, jaccard=params.feedback.held_out_jaccard),
        leaks.without_copies,
        lambda found: leaks.without_external(found, params.contamination, params.folder),
    ]
    rejected: list[Rejected] = []
    for step in steps:
        examples, dropped = step(examples)
        rejected += dropped
    return examples, rejected


def _policy(examples: Sequence[Example], params: MixParams) -> SafetyParams | None:
    """The policy of `prepare`, where something is to be judged by it: reading it takes a while."""
    if not params.safety or not any(example.is_outside for example in examples):
        return None
    return safety_policy()


def _refuse_what_is_missing(encoded: Sequence[Encoded], rejected: Sequence[Rejected], params: MixParams) -> None:
    """One line for a source of which nothing is left, and for a classification of one class."""
    for task in params.tasks:
        part = [one.example for one in encoded if one.example.task == task.name]
        for source in task.sources:
            if not any(example.source == source.name for example in part):
                why = Counter(found.reason for found in rejected if found.example.source == source.name)
                told = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
                raise UserError(f"task '{task.name}': nothing is left of source '{source.name}' (rejected: {told})")
        labels = {example.label for example in part if example.split == "train"}
        if task.kind == "classification" and len(labels) < 2:
            told = f"the class {min(labels)!r} alone" if labels else "no class"
            raise UserError(f"task '{task.name}': its train split holds {told}; a classification needs two or more")


def _write(
    mixture: Path,
    encoded: Sequence[Encoded],
    rejected: Sequence[Rejected],
    tokenizer: "Tokenizer",
    params: MixParams,
    *,
    decisions: str,
) -> None:
    """Writes everything beside the place where it belongs, then puts it there."""
    partial = mixture.with_name(mixture.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for split in SPLITS:
            with RecordWriter(partial / f"{split}.parquet", SCHEMA) as writer:
                for one in encoded:
                    if one.example.split == split:
                        writer.write(one.example.row)
        with RecordWriter(partial / "rejected.parquet", REJECTED_SCHEMA) as writer:
            for found in rejected:
                writer.write(found.row())
        declared = {task.name: _declared(task, encoded) for task in params.tasks}
        stage.write_text(partial / "tasks.json", json.dumps(declared, indent=2, ensure_ascii=False) + "\n")
        if decisions:
            stage.write_text(partial / "feedback.json", decisions)
        tokens.write_tokens(partial / "tokens", encoded, tokenizer, [task.name for task in params.tasks])
        shutil.rmtree(mixture, ignore_errors=True)
        partial.replace(mixture)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _declared(task: TaskParams, encoded: Sequence[Encoded]) -> dict[str, object]:
    """What a task was declared as; `evaluate` goes by the metrics, none: all of the kind."""
    trained = {one.example.label for one in encoded if one.example.task == task.name and one.example.split == "train"}
    return {
        "kind": task.kind,
        "metrics": list(task.metrics),
        "labels": sorted(trained) if task.kind == "classification" else [],
        "templates": {source.name: list(source.templates) for source in task.sources},
    }


def _figures(encoded: Sequence[Encoded], rejected: Sequence[Rejected], params: MixParams) -> dict[str, int]:
    reasons = Counter(f"rejected_{found.reason}" for found in rejected)
    sizes = Counter(f"{one.example.task}_{one.example.split}" for one in encoded)
    trained = [one for one in encoded if one.example.split == "train"]
    every_size = {f"{task.name}_{split}": 0 for task in params.tasks for split in SPLITS}
    by_task = Counter[str]()
    for one in trained:
        by_task[f"{one.example.task}_train_tokens"] += one.tokens
    return {
        "records_kept": len(encoded),
        "train_tokens": sum(one.tokens for one in trained),
        "train_taught_tokens": sum(one.answer_tokens for one in trained),
        **{f"rejected_{reason}": 0 for reason in REASONS},
        **reasons,
        **every_size,
        **sizes,
        **by_task,
    }


if __name__ == "__main__":
    stage.main(mix)
