"""The row of false promotions: equal models, decided for real, and the interval of their share."""

from pathlib import Path

import pytest
import yaml

from benchmarks import gate_false_promotion
from tests.tasks.gating.evidence import PARAMS


def test_a_share_has_wilsons_interval() -> None:
    low, high = gate_false_promotion.wilson(50, 2_000)  # by R's prop.test(50, 2000, correct = FALSE)
    assert (low, high) == (pytest.approx(0.019017, abs=1e-5), pytest.approx(0.032802, abs=1e-5))
    assert gate_false_promotion.wilson(0, 100)[0] == pytest.approx(0)


def test_the_row_is_the_share_in_per_cent(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"gate": PARAMS.model_dump(mode="json")}))
    monkeypatch.setattr(gate_false_promotion, "ROUNDS", 50)
    row = gate_false_promotion.gate_false_promotion()
    assert (row.peer_value, row.bar, row.lower_is_better) == (4.0, 1.0, True)
    assert row.reached
    assert "equal models promoted: " in capsys.readouterr().out
