"""The stage `label`: the labelling judge's verdicts on sampled answers, which preference pairs are made of."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from tasks import stage
from tasks.judging.configured import configured_judge
from tasks.judging.judge import MOST_RANKED, Judge
from tasks.judging.kept import read_items, write_lines
from tasks.judging.records import Item, Pair, PairRecord, RankRecord, coverage
from tasks.judging.rubric import Rubric, load_rubric
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)


class LabelParams(Params):
    """The section `label` of params.yaml."""

    judge: str  # never the accepting judge, judge.judge: what labels does not accept


def label(
    params: LabelParams, *, answers: Path, judges: Path, rubric: Path, verdicts: Path, labelled: Path, metrics: Path
) -> None:
    """Scores each answer, compares every two to the same prompt and ranks all of a prompt (up to four).

    In `labelled`: scores.jsonl, pairs.jsonl and rankings.jsonl, a record of `judging.records` a line. Raises
    UserError where the judge can't be had, or ends the run; what it said so far is kept.
    """
    items = read_items(answers)
    groups = _by_prompt(items)
    asked = load_rubric(rubric)
    with configured_judge(params.judge, judges=judges, verdicts=verdicts) as judge:
        log.info("%s judges %d answers to %d prompts", judge.id, len(items), len(groups))
        scores = judge.score(items, asked)
        pairs = judge.compare([pair for group in groups for pair in _pairs(group)], asked)
        rankings = _rankings(judge, groups, asked)
    for name, records in (("scores", scores), ("pairs", pairs), ("rankings", rankings)):
        write_lines(labelled / f"{name}.jsonl", records)
    stage.write_metrics(metrics, _figures(pairs, rankings) | {"score_coverage": coverage(scores)})


def _by_prompt(items: Sequence[Item]) -> list[list[Item]]:
    """The different answers to each prompt that has two or more; equal texts need no verdict."""
    groups: dict[str, dict[str, Item]] = {}
    for item in items:
        groups.setdefault(item.prompt_id, {}).setdefault(item.id, item)
    found = [list(group.values()) for group in groups.values() if len(group) > 1]
    if not found:
        raise UserError("no prompt has two different answers; a higher sample.answering.story_temperature gives some")
    return found


def _pairs(group: Sequence[Item]) -> Iterator[Pair]:
    return (Pair(first=first, second=second) for first, second in combinations(group, 2))


def _rankings(judge: Judge, groups: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
    return judge.rank([group[:MOST_RANKED] for group in groups], rubric)


def _figures(pairs: Sequence[PairRecord], rankings: Sequence[RankRecord]) -> dict[str, float]:
    winners = Counter(record.winner for record in pairs)
    return {
        "pairs": len(pairs),
        "pair_coverage": coverage(pairs),
        "tie_share": winners["tie"] / max(1, len(pairs)),
        "flipped_share": sum(record.is_flipped for record in pairs) / max(1, len(pairs)),
        "rankings": len(rankings),
        "ranking_coverage": coverage(rankings),
    }


if __name__ == "__main__":
    stage.main(label)
