"""What a small chain left to be reviewed: answers, a judge's records of them, stories for gold items."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from tasks.judging.kept import write_lines
from tasks.judging.records import Item, PairRecord, RankRecord
from tasks.reviews.publishing import Outputs
from tests.conftest import sentences, write_clean
from tests.tasks.judging.contests import JUDGE, grades, item

KINDS = ("story", "translation")
ANIMALS = ("otter", "heron", "badger", "lynx", "magpie", "weasel", "salmon", "falcon")
PLACES = ("harbour", "meadow", "chimney", "orchard", "tunnel", "glacier", "attic", "mill")


def prompt(number: int) -> str:
    """A prompt that is near to no other."""
    return (
        f"the {ANIMALS[number % 8]} number {number} by {number * 7} and the {PLACES[number // 8 % 8]} of {number * 3}"
    )


def answers(count: int, *, models: Sequence[str] = ("finetuned",) * 4, start: int = 0) -> list[Item]:
    """Answers of these models to each prompt, kinds in turn."""
    return [
        item(by, prompt(number), f"{by} told story {n} about {prompt(number)}.", kind=KINDS[number % 2])
        for number in range(start, start + count)
        for n, by in enumerate(models)
    ]


def pair(first: Item, second: Item, margin: float) -> PairRecord:
    """A verdict as sure as its margin; none of 0."""
    winner = "first" if margin > 0 else "second" if margin < 0 else "tie"
    return PairRecord(judge=JUDGE, first=first.id, second=second.id, status="ok", winner=winner, margin=margin,
                      orders=(winner, winner))  # fmt: skip


def write_outputs(folder: Path, *, prompts: int = 12, judged_from: int = 100) -> Outputs:
    """The outputs of a chain whose labelled and judged prompts are different ones."""
    outputs = Outputs(
        sampled=folder / "sampled.jsonl",
        labelled=folder / "labelled",
        judged=folder / "judged",
        gated=folder / "gated" / "compared",
        clean=folder / "clean",
    )
    sampled = answers(prompts)
    write_lines(outputs.sampled, sampled)
    _write_records(outputs.labelled, sampled)
    held_out = answers(prompts, models=("base", "finetuned"), start=judged_from)
    write_lines(outputs.judged / "answers.jsonl", held_out)
    _write_records(outputs.judged, held_out)
    compared = answers(prompts, models=("aligned", "champion"), start=judged_from)
    write_lines(outputs.gated / "answers.jsonl", compared)
    _write_records(outputs.gated, compared)
    write_clean(outputs.clean, {"judge_a": sentences(20, start=600), "judge_b": sentences(20, start=700)})
    return outputs


def _write_records(folder: Path, items: Sequence[Item]) -> None:
    by_prompt: dict[str, list[Item]] = {}
    for answer in items:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    groups = list(by_prompt.values())
    pairs = [
        pair(first, second, (at % 9 - 4) / 8)
        for at, (first, second) in enumerate(two for group in groups for two in combinations(group, 2))
    ]
    write_lines(folder / "pairs.jsonl", pairs)
    write_lines(folder / "scores.jsonl", [grades(one, {"quality": 1 + at % 5}) for at, one in enumerate(items)])
    ranked = [
        RankRecord(
            judge=JUDGE, items=tuple(one.id for one in group), status="ok", tiers=tuple((one.id,) for one in group)
        )
        for group in groups
        if len(group) > 2
    ]
    write_lines(folder / "rankings.jsonl", ranked)
