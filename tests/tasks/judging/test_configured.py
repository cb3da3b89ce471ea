"""Judges by their names; a name that is none, or an endpoint that nobody named, is one line."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks import stage
from tasks.judging import configured
from tasks.judging.configured import configured_judge
from tasks.judging.endpoint import EndpointJudgeParams
from tasks.stage import UserError
from tests.conftest import ROOT


def opened(name: str) -> str:
    with configured_judge(name, judges=Path("judges"), verdicts=Path("verdicts")) as judge:
        return str(judge.id)


def test_an_unknown_name_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match="judge 'gpt' is unknown; allowed: heuristic-a, heuristic-b, endpoint"):
        opened("gpt")


def test_a_heuristic_judge_that_was_not_made_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match="judges/heuristic-a"):
        opened("heuristic-a")


def test_the_endpoints_judge_without_an_endpoint_is_one_line(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEDGLING_JUDGE_ADDRESS", raising=False)
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    with pytest.raises(UserError, match="FLEDGLING_JUDGE_ADDRESS"):
        opened("endpoint")


def test_what_an_endpoint_cost_stands_among_the_timings(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    judge = SimpleNamespace(id="endpoint@1", cost={"calls": 3.0, "price": None})
    monkeypatch.setattr(configured, "open_endpoint_judge", lambda *_, **__: nullcontext(judge))
    kept: dict[str, float] = {}
    monkeypatch.setattr(stage, "timings", lambda **figures: kept.update(figures))
    assert opened("endpoint") == "endpoint@1"
    assert kept == {"judge_calls": 3.0}


def test_address_and_model_come_from_the_environment_where_params_name_none(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setenv("FLEDGLING_JUDGE_ADDRESS", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FLEDGLING_JUDGE_MODEL", "small")
    asked: list[EndpointJudgeParams] = []
    judge = SimpleNamespace(id="endpoint@1", cost={})
    monkeypatch.setattr(
        configured, "open_endpoint_judge", lambda params, **_: asked.append(params) or nullcontext(judge)
    )
    opened("endpoint")
    assert (asked[0].address, asked[0].model) == ("http://127.0.0.1:9/v1", "small")


def test_params_have_no_interpolation_that_dvc_would_stop_at() -> None:
    assert "${" not in (ROOT / "params.yaml").read_text()
