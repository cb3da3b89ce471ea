"""The stage `calibrate`: makes the heuristic judges, then examines every judge that is configured."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from pydantic import model_validator

from tasks import stage
from tasks.cleaning.safety import safety_policy
from tasks.judging.configured import HEURISTICS, endpoint_judge
from tasks.judging.endpoint import EndpointJudgeParams, is_configured
from tasks.judging.examination import (
    Check,
    ExaminationParams,
    axes_that_failed,
    examine,
    read_ladder,
    read_reviews,
    read_stories,
    read_user_files,
    scorecard_figures,
    scorecard_markdown,
)
from tasks.judging.heuristic import HeuristicParams, load_heuristic, train_heuristic
from tasks.judging.judge import Judge
from tasks.judging.rubric import Rubric, load_rubric
from tasks.stage import Params

log = logging.getLogger(__name__)


class CalibrateParams(Params):
    """How the heuristic judges are made, whether there is one behind an endpoint, and what all are examined on."""

    heuristics: Mapping[str, HeuristicParams]
    endpoint: EndpointJudgeParams
    examination: ExaminationParams

    @model_validator(mode="after")
    def _splits_are_apart(self) -> "CalibrateParams":
        if unknown := set(self.heuristics) - set(HEURISTICS):
            raise ValueError(f"no heuristic judge '{min(unknown)}'; there are {', '.join(HEURISTICS)}")
        if self.endpoint.name in HEURISTICS:
            raise ValueError(f"endpoint.name '{self.endpoint.name}' is that of a heuristic judge; choose another")
        if seen := {*self.examination.splits, *self.examination.task_splits} & {"train", *HEURISTICS.values()}:
            raise ValueError(f"examination: judges learn from '{min(seen)}'; name splits that they never saw")
        return self


def calibrate(
    params: CalibrateParams,
    *,
    clean: Path,
    ladder: Path,
    rubric: Path,
    verdicts: Path,
    feedback: Path,
    judges: Path,
    metrics: Path,
    scorecard: Path,
) -> None:
    """Trains the heuristic judges, each on a split of its own, and writes every judge's scorecard.

    ladder: what pretraining said on the way (JSON Lines of {step, prompt, text}); verdicts: the kept answers of
    endpoints; feedback: the folder of people's batch files, of which there may be none. judges: a folder of each
    heuristic judge; metrics: the rows as figures; scorecard: as Markdown.
    Raises UserError naming the file and the line of what can't be read, before anything is trained.
    """
    exam = params.examination
    asked = load_rubric(rubric)
    rungs, files, reviews = read_ladder(ladder), read_user_files(exam), read_reviews(feedback)
    stories, task_stories = (
        read_stories(clean, splits, most=exam.stories_a_split, seed=exam.seed)
        for splits in (exam.splits, exam.task_splits)
    )
    _train(params, clean, judges)
    found: dict[str, list[Check]] = {}
    for opened in _judges(params, judges=judges, verdicts=verdicts):
        with opened as judge, _timed(judge):
            log.info("examining %s", judge.id.name)
            found[judge.id.name] = examine(
                judge, asked, exam, stories=stories, ladder=rungs, task_stories=task_stories, files=files,
                reviews=reviews,
            )  # fmt: skip
    axes = _axes(asked)
    stage.write_metrics(metrics, scorecard_figures(found, axes))
    stage.write_text(scorecard, scorecard_markdown(found, axes))
    _tell(found)


def _train(params: CalibrateParams, clean: Path, judges: Path) -> None:
    policy = safety_policy()
    for name, own in params.heuristics.items():
        log.info("training %s on the split %s", name, HEURISTICS[name])
        train_heuristic(name, own, stories=clean / f"{HEURISTICS[name]}.parquet", policy=policy, folder=judges / name)


def _judges(params: CalibrateParams, *, judges: Path, verdicts: Path) -> Iterator[AbstractContextManager[Judge]]:
    """Every judge that is configured, not yet opened: the heuristic ones, then the one behind an endpoint."""
    for name in params.heuristics:
        yield nullcontext(load_heuristic(judges / name))
    if is_configured(params.endpoint, verdicts=verdicts):
        yield endpoint_judge(params.endpoint, verdicts=verdicts)


@contextmanager
def _timed(judge: Judge) -> Iterator[None]:
    start = time.monotonic()
    yield
    stage.timings(**{f"{judge.id.name.replace('-', '_')}_examination_seconds": time.monotonic() - start})


def _axes(rubric: Rubric) -> list[str]:
    return [*rubric.story, *rubric.task]


def _tell(found: Mapping[str, list[Check]]) -> None:
    for name, checks in found.items():
        known = {check.name: "not run" if check.value is None else f"{check.value:.3f}" for check in checks}
        log.info(
            "%s: corruptions %s, grammar pairs %s; axes that may not decide: %s", name, known["corruption_accuracy"],
            known["grammar_accuracy"], ", ".join(axes_that_failed(checks)) or "none",
        )  # fmt: skip


if __name__ == "__main__":
    stage.main(calibrate)
