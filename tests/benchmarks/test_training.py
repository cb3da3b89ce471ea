"""The row of an optimiser step: it runs on what a chain leaves, and says what is missing."""

from pathlib import Path

import pytest
import yaml

from benchmarks import training
from tasks.stage import UserError
from tests.tasks import small


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "ROUNDS", 1)
    monkeypatch.setattr(training, "STEPS", 1)


def test_steps_of_both_stages_are_timed_on_a_workspace() -> None:
    small.write_workspace()
    params = {"pretrain": small.pretraining(), "finetune": small.finetuning()}
    Path("params.yaml").write_text(yaml.safe_dump({name: own.model_dump(mode="json") for name, own in params.items()}))
    row = training.finetune_vs_pretrain()
    assert min(row.value, row.peer_value) > 0
    assert (row.name, row.bar, row.lower_is_better) == ("finetune_vs_pretrain", 0.9, False)


def test_without_a_chain_one_line_says_so() -> None:
    with pytest.raises(UserError, match="models/base: no such folder; run `make pipeline` first"):
        training.finetune_vs_pretrain()
