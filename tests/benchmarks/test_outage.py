"""The row of training while MLflow is away: what it trains, and what it needs."""

import json
from pathlib import Path

import pytest

from benchmarks import outage
from tasks.stage import UserError


def test_without_a_chain_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="data/tokens: no such folder; run `make pipeline` first"):
        outage.training_with_mlflow_away()


def test_it_trains_the_chains_own_model_for_less_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in outage.NEEDS:
        (tmp_path / path).mkdir(parents=True)
    own = {"model": {"d_model": 128}, "budget_tokens": 9_000_000, "final_evaluation_documents": None}
    (tmp_path / "params.yaml").write_text(json.dumps({"pretrain": own, "finetune": {}}))
    folder = tmp_path / "run"
    folder.mkdir()
    outage._workspace(folder)
    made = json.loads((folder / "params.yaml").read_text())["pretrain"]
    assert made == {**own, "budget_tokens": outage.BUDGET_TOKENS, "final_evaluation_documents": 64}
    assert (folder / "data/tokens").resolve() == (tmp_path / "data/tokens").resolve()
