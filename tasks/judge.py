"""The stage `judge`: each model's answers to hold-out prompts, graded and compared by the accepting judge."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pydantic import Field

from tasks import stage
from tasks.evaluation.answering import AnsweringParams
from tasks.evaluation.intervals import Bootstrap
from tasks.judging.answers import Prompt, PromptsParams, answers_of, read_prompts
from tasks.judging.comparing.tables import kind_told
from tasks.judging.comparison import (
    Leaderboard,
    comparison_figures,
    leaderboard,
    leaderboard_markdown,
    leaderboard_plot,
)
from tasks.judging.configured import configured_judge
from tasks.judging.judge import Judge
from tasks.judging.kept import write_lines
from tasks.judging.records import Item, Pair, PairRecord, ScoreRecord
from tasks.judging.report.page import write_report
from tasks.judging.report.scorecard import may_not_decide
from tasks.judging.rubric import Rubric, load_rubric
from tasks.label import LabelParams
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

HOLDOUT = ("written", "test")  # the hand-written stories' requests first


class JudgeParams(Params):
    """The section `judge` of params.yaml."""

    judge: str  # the accepting one; never label.judge, which made what the next model learns from
    prompts: PromptsParams
    answering: AnsweringParams
    bootstrap: int = Field(ge=100)  # resamples of prompts for an interval
    confidence: float = Field(gt=0.5, lt=1)
    threads: int = Field(ge=1)
    seed: int = Field(ge=0)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What a judge said of the answers of some models."""

    answers: Sequence[Item]
    scores: Sequence[ScoreRecord]
    pairs: Sequence[PairRecord]
    board: Leaderboard


def judge(
    params: JudgeParams,
    *,
    mixture: Path,
    models: list[Path],
    judges: Path,
    scorecard: Path,
    rubric: Path,
    verdicts: Path,
    judged: Path,
    metrics: Path,
    board: Path,
    plot: Path,
    report: Path,
) -> None:
    """Asks every model the same hold-out prompts with frozen decoding, has them judged, and writes who is ahead.

    In `judged`: answers.jsonl, scores.jsonl and pairs.jsonl, an answer or a record of `judging.records` a line.
    Raises UserError where the accepting judge is the labelling one, or can't be had; what it said is kept.
    """
    import torch

    refuse_the_labelling_judge(params)
    torch.set_num_threads(params.threads)
    asked = load_rubric(rubric)
    prompts = read_prompts(mixture, params.prompts, splits=HOLDOUT)
    answers = hold_out_answers(models, prompts, params)
    with configured_judge(params.judge, judges=judges, verdicts=verdicts) as accepting:
        found = judge_answers(answers, accepting, asked, params)
    for name, records in (("answers", found.answers), ("scores", found.scores), ("pairs", found.pairs)):
        write_lines(judged / f"{name}.jsonl", records)
    examined = json.loads(scorecard.read_text(encoding="utf-8"))
    stage.write_metrics(metrics, comparison_figures(found.board))
    failed = may_not_decide(examined, found.board.judge)
    stage.write_text(board, leaderboard_markdown(found.board, may_not_decide=failed))
    stage.write_text(plot, leaderboard_plot(found.board))
    write_report(
        report,
        leaderboard=found.board,
        scorecard=examined,
        answers=found.answers,
        scores=found.scores,
        pairs=found.pairs,
        rubric=asked,
    )
    _tell(found.board)


def refuse_the_labelling_judge(params: JudgeParams) -> None:
    """Raises UserError where the accepting judge is the labelling one."""
    if params.judge == stage.load_params(LabelParams, "label").judge:
        raise UserError(
            f"judge.judge and label.judge are both '{params.judge}'; what labelled a model's training pairs may not "
            "accept it, name another"
        )


def hold_out_answers(models: Sequence[Path], prompts: Sequence[Prompt], params: JudgeParams) -> list[Item]:
    """Each model's answers to the prompts, in the order of the models; a model goes by its folder's name."""
    answers: list[Item] = []
    for folder in models:
        log.info("%s answers %d hold-out prompts", folder.name, len(prompts))
        answers += answers_of(folder, prompts, params.answering, seed=params.seed)
    return answers


def judge_answers(answers: Sequence[Item], accepting: Judge, rubric: Rubric, params: JudgeParams) -> Verdicts:
    """Grades of each answer and a verdict on each two answers to a prompt, in both orders."""
    log.info("%s judges %d answers", accepting.id, len(answers))
    scores = accepting.score(answers, rubric)
    pairs = accepting.compare(list(_pairs(answers)), rubric)
    bootstrap = Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed)
    board = leaderboard(answers, scores, pairs, bootstrap=bootstrap)
    return Verdicts(answers=answers, scores=scores, pairs=pairs, board=board)


def _pairs(answers: Sequence[Item]) -> Iterator[Pair]:
    """Each two answers to a prompt, the later model's first; two equal texts need no verdict."""
    by_prompt: dict[str, list[Item]] = {}
    for item in answers:
        by_prompt.setdefault(item.prompt_id, []).append(item)
    for group in by_prompt.values():
        for earlier, later in combinations(group, 2):
            if earlier.id != later.id:
                yield Pair(first=later, second=earlier)


def _tell(board: Leaderboard) -> None:
    for rates in board.rates:
        won = rates.win_rate
        ends = f"{won.value:.1%} [{won.low:.1%}, {won.high:.1%}]" if rates.verdicts else "-"
        log.info("%s against %s, %s: wins %s", rates.first, rates.second, kind_told(rates.kind), ends)


if __name__ == "__main__":
    stage.main(judge)
