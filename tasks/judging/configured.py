"""The judges by their names: the heuristic ones that `calibrate` made, and one behind an endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks import stage
from tasks.judging.endpoint import EndpointJudgeParams, open_endpoint_judge
from tasks.judging.heuristic import load_heuristic
from tasks.judging.judge import Judge
from tasks.judging.verdicts import STATE
from tasks.records import JUDGE_SPLITS
from tasks.stage import Excerpt, UserError

HEURISTICS = dict(zip(("heuristic-a", "heuristic-b"), JUDGE_SPLITS, strict=True))  # each with what it learns from
ENDPOINT = "endpoint"


class _EndpointSection(Excerpt):
    """What `label` and `judge` read of the section `calibrate`."""

    endpoint: EndpointJudgeParams


@contextmanager
def configured_judge(name: str, *, judges: Path, verdicts: Path) -> Iterator[Judge]:
    """The judge of this name. judges: the folder that `calibrate` made; verdicts: the kept answers of endpoints.

    Raises UserError for an unknown name, and for the endpoint's where there is neither an address nor a kept verdict.
    """
    if name in HEURISTICS:
        yield load_heuristic(judges / name)
        return
    if name != ENDPOINT:
        raise UserError(f"judge '{name}' is unknown; allowed: {', '.join((*HEURISTICS, ENDPOINT))}")
    with endpoint_judge(stage.load_params(_EndpointSection, "calibrate").endpoint, verdicts=verdicts) as judge:
        yield judge


@contextmanager
def endpoint_judge(params: EndpointJudgeParams, *, verdicts: Path) -> Iterator[Judge]:
    """The judge behind the endpoint; what it cost stands among the stage's timings."""
    with open_endpoint_judge(params, verdicts=verdicts, state=STATE) as judge:
        yield judge
        stage.timings(**{f"judge_{name}": value for name, value in judge.cost.items() if value is not None})
