"""Who is ahead on the hold-out, by a judge that did not label what they learnt from."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.checkpoint import save_model
from tasks import judge as stage
from tasks.chat import write_generation_config
from tasks.judge import JudgeParams, judge
from tasks.stage import UserError
from tests.conftest import ROOT
from tests.tasks import small
from tests.tasks.judging import longest
from tests.tasks.judging.test_answers import ANSWERING, KINDS

TUNED = Path("models/finetuned")
OUT = {
    "judged": Path("data/judged"), "metrics": Path("metrics/judge.json"), "board": Path("metrics/leaderboard.md"),
    "plot": Path("plots/judge.csv"),
    "report": Path("data/report/judge.html"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write_workspace()
    save_model(TUNED, small.decoder(seed=1), tokenizer=small.TOKENIZER)
    write_generation_config(TUNED)
    monkeypatch.setattr(stage, "configured_judge", longest.opened)
    Path("params.yaml").write_text(yaml.safe_dump({"label": {"judge": "heuristic-a"}}))
    Path("scorecard.json").write_text("{}")


def run(**changes: Any) -> dict[str, Any]:
    section = {
        "judge": "heuristic-b", "prompts": {"stories": 4, "others": 2, "kinds": KINDS}, "answering": ANSWERING,
        "bootstrap": 100, "confidence": 0.95, "threads": 1, "seed": 1, **changes,
    }  # fmt: skip
    params = JudgeParams.model_validate_json(json.dumps(section))
    paths = {"rubric": ROOT / "rubric.yaml", "judges": Path("judges"), "verdicts": Path("verdicts")}
    judge(params, mixture=small.MIXTURE, models=[small.BASE, TUNED], scorecard=Path("scorecard.json"), **paths, **OUT)
    return dict(json.loads(OUT["metrics"].read_text()))


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (OUT["judged"] / f"{name}.jsonl").read_text().splitlines()]


def test_both_models_answer_the_same_hold_out_prompts() -> None:
    figures = run()
    asked: dict[str, list[str]] = {}
    for answer in lines("answers"):
        asked.setdefault(answer["by"], []).append(answer["prompt_id"])
    assert asked["base"] == asked["finetuned"]
    assert len(asked["base"]) == 4 + 2 * len(KINDS)
    assert set(asked["base"]) <= {row["id"] for split in ("written", "test") for row in small.rows(split)}
    assert 0 <= figures["finetuned_vs_base_win_rate_low"] <= figures["finetuned_vs_base_win_rate"] <= 1
    assert 1 <= figures["finetuned_grammar_score"] <= 5


def test_the_win_rate_is_that_of_the_verdicts() -> None:
    figures = run()
    won = [{"first": 1.0, "tie": 0.5, "second": 0.0}[pair["winner"]] for pair in lines("pairs") if pair["winner"]]
    assert won
    assert figures["finetuned_vs_base_win_rate"] == pytest.approx(sum(won) / len(won))
    assert "finetuned" in OUT["board"].read_text()
    assert "<html" in OUT["report"].read_text()


def test_the_same_bytes_again() -> None:
    run()
    once = {path: path.read_bytes() for path in (*OUT["judged"].iterdir(), *list(OUT.values())[1:])}
    run()
    assert {path: path.read_bytes() for path in once} == once


def test_a_kind_without_a_verdict_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Abstaining(longest.LongestJudge):
        def compare(self, pairs: Any, rubric: Any) -> list[Any]:
            found = super().compare(pairs, rubric)
            return [replace(one, status="unsupported", winner=None, margin=None, orders=(), axes={}) for one in found]

    monkeypatch.setattr(stage, "configured_judge", lambda name, judges, verdicts: nullcontext(Abstaining()))
    caplog.set_level("INFO", logger="tasks.judge")
    run()
    assert "finetuned against base, all prompts: wins -" in caplog.text
    assert "nan" not in caplog.text


def test_what_labels_does_not_accept() -> None:
    with pytest.raises(UserError, match=r"judge.judge and label.judge are both 'heuristic-a'"):
        run(judge="heuristic-a")
    assert not OUT["judged"].exists()
