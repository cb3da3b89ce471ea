"""Where preference training is stopped."""

from __future__ import annotations

import pytest

from model.preferences.bounds import CHOSEN_GAIN, KL, LENGTH, Bounds, breach

BOUNDS = Bounds(chosen_drop=0.2, kl=0.1, length_drift=0.1)
GOOD = {CHOSEN_GAIN: -0.19, KL: 0.09, LENGTH: 1.09}


@pytest.mark.parametrize(
    ("figures", "name", "told"),
    [
        ({CHOSEN_GAIN: -0.21}, "chosen_log_prob_gain_per_token", "the chosen answers' log-probability collapses"),
        ({KL: 0.11}, "kl_from_reference", r"too far from the reference: val/kl_from_reference 0\.11 \(bound 0\.1\)"),
        ({LENGTH: 1.11}, "length_ratio", "the length of sampled answers drifts"),
        ({LENGTH: 0.89}, "length_ratio", r"val/length_ratio 0\.89 \(bound 0\.1\)"),
        ({KL: float("nan")}, "kl_from_reference", "nan"),
    ],
)
def test_each_bound(figures: dict[str, float], name: str, told: str) -> None:
    found = breach(GOOD | figures, BOUNDS)
    assert found is not None
    assert found.name == name
    with pytest.raises(ValueError, match=told):
        raise ValueError(found.told)


def test_within_all_bounds() -> None:
    assert breach(GOOD, BOUNDS) is None


def test_a_bound_of_nothing_cannot_be() -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Bounds(chosen_drop=0.2, kl=0.0, length_drift=0.1)
