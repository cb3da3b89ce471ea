"""`fledgling compare`: models of the workspace or the registry beside each other, by the judge that accepts models."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fledgling.generate import model_folder
from tasks.stage import UserError, load_params
from tasks.workspace import MODELS

if TYPE_CHECKING:
    from tasks.judge import JudgeParams, Verdicts
    from tasks.judging.records import Item
    from tasks.judging.rubric import Rubric

MIXTURE, JUDGES, RUBRIC, VERDICTS = Path("data/mixture"), Path("models/judges"), Path("rubric.yaml"), Path("verdicts")


def compare_models(names: Sequence[str], *, report: Path | None) -> str:
    """The leaderboard of the models as Markdown: the same prompts, decoding and judge as in the stage `judge`.

    names: a model of the workspace by its folder's name, else a version or an alias of the registry, the oldest
    first: each is told against those before it. report: a file for the whole page. Raises UserError where a model,
    the judge or the prompts are missing, and where the judge is the one that labels.
    """
    from tasks.judge import JudgeParams, refuse_the_labelling_judge
    from tasks.judging.comparison import leaderboard_markdown
    from tasks.judging.report.scorecard import may_not_decide
    from tasks.judging.rubric import load_rubric
    from tasks.report import metrics_file, read_json

    _check(names)
    params, rubric = load_params(JudgeParams, "judge"), load_rubric(RUBRIC)
    refuse_the_labelling_judge(params)
    found = _judged(names, params, rubric)
    examined = read_json(metrics_file("calibrate"))
    if report is not None:
        _write(report, found, rubric, examined)
    return leaderboard_markdown(found.board, may_not_decide=may_not_decide(examined, found.board.judge))


def _check(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise UserError(f"compare takes two models or more, got {len(names)}: fledgling compare base finetuned")
    twice = [name for at, name in enumerate(names) if name in names[:at]]
    if twice:
        raise UserError(f"'{twice[0]}' is named twice; name different models")


def _judged(names: Sequence[str], params: "JudgeParams", rubric: "Rubric") -> "Verdicts":
    import torch

    from tasks.judge import judge_answers
    from tasks.judging.configured import configured_judge

    torch.set_num_threads(params.threads)
    answers = _answers(names, params)
    with configured_judge(params.judge, judges=JUDGES, verdicts=VERDICTS) as accepting:
        return judge_answers(answers, accepting, rubric, params)


def _answers(names: Sequence[str], params: "JudgeParams") -> "list[Item]":
    from tasks.judge import HOLDOUT
    from tasks.judging.answers import answers_of, read_prompts

    prompts = read_prompts(MIXTURE, params.prompts, splits=HOLDOUT)
    answers: list[Item] = []
    for name in names:
        with _model(name) as folder:
            answers += answers_of(folder, prompts, params.answering, seed=params.seed, name=name)
    return answers


@contextmanager
def _model(name: str) -> Iterator[Path]:
    """The folder of a model of the workspace, or of a registered one, which is fetched for the time being."""
    own = {folder.name: folder for folder in MODELS}
    if name not in own:
        with model_folder(name) as folder:
            yield folder
        return
    if not (own[name] / "model.safetensors").exists():
        raise UserError(f"{own[name]} holds no model; `make pipeline` makes it")
    yield own[name]


def _write(path: Path, found: "Verdicts", rubric: "Rubric", examined: dict[str, Any]) -> None:
    from tasks.judging.report.page import write_report

    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"--report {path}: not a file that can be written")
    write_report(
        path, leaderboard=found.board, scorecard=examined, answers=found.answers, scores=found.scores,
        pairs=found.pairs, rubric=rubric,
    )  # fmt: skip
