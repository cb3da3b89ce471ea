"""The losses: by hand, by TRL's formulas on the same tensors, their gradients; and the estimate of the divergence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.preferences.losses import Likelihoods, pair_losses, thumb_losses, token_divergences, usual_ratio
from tests.model.preferences.talks import config


def answers(log_prob: float, reference: float, tokens: float) -> Likelihoods:
    return Likelihoods(*(torch.tensor([value], dtype=torch.float64) for value in (log_prob, reference, tokens)))


CHOSEN, REJECTED = answers(-10.0, -11.0, 2.0), answers(-12.0, -11.0, 4.0)  # ratios 1 and -1, of a token 1/2 and -1/4


@pytest.mark.parametrize(
    ("changes", "by_hand"),
    [
        ({}, math.log(1 + math.exp(-1.0))),
        ({"beta": 0.1}, math.log(1 + math.exp(-0.2))),
        ({"label_smoothing": 0.1}, 0.9 * math.log(1 + math.exp(-1.0)) + 0.1 * math.log(1 + math.exp(1.0))),
        ({"per_token": True}, math.log(1 + math.exp(-0.375))),
        ({"sft_weight": 0.2}, math.log(1 + math.exp(-1.0)) + 0.2 * 10.0 / 2.0),
        ({"loss": "ipo"}, (2.0 - 1.0) ** 2),
        ({"loss": "ipo", "beta": 0.1}, (2.0 - 5.0) ** 2),
        ({"loss": "ipo", "per_token": True}, (0.75 - 1.0) ** 2),
    ],
)
def test_pairs_by_hand(changes: dict[str, Any], by_hand: float) -> None:
    assert pair_losses(config(**changes), CHOSEN, REJECTED).tolist() == pytest.approx([by_hand])


def test_thumbs_by_hand() -> None:
    both = Likelihoods(*(torch.tensor(pair) for pair in ((-10.0, -12.0), (-11.0, -11.0), (2.0, 4.0))))
    wanted = config(loss="kto", beta=0.5, desirable_weight=1.5, undesirable_weight=0.5, sft_weight=0.2)
    found = thumb_losses(wanted, both, desirable=torch.tensor([True, False]), usual=torch.tensor(0.4))
    up = 1.5 * (1 - 1 / (1 + math.exp(-0.5 * (1.0 - 0.4)))) + 0.2 * 10.0 / 2.0
    down = 0.5 * (1 - 1 / (1 + math.exp(-0.5 * (0.4 + 1.0))))
    assert found.tolist() == pytest.approx([up, down])


def test_the_usual_ratio_is_never_below_zero_and_teaches_nothing() -> None:
    ratios = torch.tensor([1.0, 2.0], requires_grad=True)
    assert usual_ratio(ratios).item() == 1.5
    assert not usual_ratio(ratios).requires_grad
    assert usual_ratio(torch.tensor([-3.0, 1.0])).item() == 0


# TRL's formulas, written from its documentation: beta, sums of log-probabilities, of IPO means a token


def trl_sigmoid(policy: list[Tensor], known: list[Tensor], *, beta: float, label_smoothing: float) -> Tensor:
    logits = (policy[0] - policy[1]) - (known[0] - known[1])
    return -F.logsigmoid(beta * logits) * (1 - label_smoothing) - F.logsigmoid(-beta * logits) * label_smoothing


def trl_ipo(policy: list[Tensor], known: list[Tensor], *, beta: float) -> Tensor:
    return (((policy[0] - policy[1]) - (known[0] - known[1])) - 1 / (2 * beta)) ** 2


def trl_kto(
    policy: list[Tensor], known: list[Tensor], unrelated: list[Tensor], *, beta: float
) -> tuple[Tensor, Tensor]:
    kl = (unrelated[0] - unrelated[1]).mean().detach().clamp(min=0)
    up = 1 - torch.sigmoid(beta * ((policy[0] - known[0]) - kl))
    return up, 1 - torch.sigmoid(beta * (kl - (policy[1] - known[1])))


@pytest.fixture
def drawn() -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Of 50 pairs log-probabilities by a policy and by a reference, and the answers' tokens."""
    generator = torch.Generator().manual_seed(3)
    tokens = [torch.randint(1, 300, (50,), generator=generator).double() for _ in range(2)]
    known = [-2.5 * count - torch.rand(50, generator=generator) * 10 for count in tokens]
    policy = [each + torch.randn(50, generator=generator) * 8 for each in known]
    return policy, known, tokens


def both(policy: list[Tensor], known: list[Tensor], tokens: list[Tensor]) -> list[Likelihoods]:
    return [Likelihoods(*parts) for parts in zip(policy, known, tokens, strict=True)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("beta", [0.03, 0.1, 0.5])
def test_pairs_as_in_trl(drawn: tuple[list[Tensor], ...], beta: float, smoothing: float) -> None:
    policy, known, tokens = drawn
    chosen, rejected = both(*drawn)
    own = pair_losses(config(beta=beta, label_smoothing=smoothing), chosen, rejected)
    torch.testing.assert_close(own, trl_sigmoid(policy, known, beta=beta, label_smoothing=smoothing), rtol=0, atol=1e-5)
    means = [[value / count for value, count in zip(parts, tokens, strict=True)] for parts in (policy, known)]
    own = pair_losses(config(loss="ipo", beta=beta, per_token=True), chosen, rejected)
    torch.testing.assert_close(own, trl_ipo(*means, beta=beta), rtol=1e-6, atol=1e-5)


def test_thumbs_as_in_trl(drawn: tuple[list[Tensor], ...]) -> None:
    policy, known, tokens = drawn
    unrelated = [known[0] + torch.linspace(-1, 3, 50), known[0]]
    up, down = trl_kto(policy, known, unrelated, beta=0.1)
    usual = usual_ratio(unrelated[0] - unrelated[1])
    answered = Likelihoods(*(torch.cat(parts) for parts in (policy, known, tokens)))
    marks = torch.tensor([True] * 50 + [False] * 50)
    own = thumb_losses(config(loss="kto", beta=0.1), answered, desirable=marks, usual=usual)
    torch.testing.assert_close(own, torch.cat([up, down]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{}, {"label_smoothing": 0.2}, {"per_token": True, "sft_weight": 0.3}, {"loss": "ipo"}, {"loss": "kto"}],
)
def test_gradients(changes: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(8, generator=generator, dtype=torch.float64, requires_grad=True)
    known = torch.randn(8, generator=generator, dtype=torch.float64)
    tokens = torch.arange(1.0, 9.0, dtype=torch.float64)
    wanted = config(**changes)

    def losses(found: Tensor) -> Tensor:
        one, other = (Likelihoods(found[at::2], known[at::2], tokens[at::2]) for at in (0, 1))
        if wanted.loss != "kto":
            return pair_losses(wanted, one, other)
        marks = torch.arange(8) % 3 == 0
        usual = torch.tensor(0.1, dtype=torch.float64)
        return thumb_losses(wanted, Likelihoods(found, known, tokens), desirable=marks, usual=usual)

    assert torch.autograd.gradcheck(losses, (values,))


def test_divergences_are_right_in_the_mean_and_never_negative() -> None:
    generator = torch.Generator().manual_seed(1)
    known, found = (torch.randn(20, generator=generator, dtype=torch.float64).log_softmax(0) for _ in range(2))
    divergences = token_divergences(found, known)
    assert (divergences >= 0).all()
    exact = (known.exp() * (known - found)).sum()  # KL(reference || policy)
    assert float((known.exp() * divergences).sum()) == pytest.approx(float(exact))
    assert token_divergences(known, known).sum() == 0


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"loss": "ppo"}, "loss='ppo' is unknown; allowed: dpo, ipo, kto"),
        ({"beta": 0.0}, "beta=0.0 is not allowed; allowed: above 0"),
        ({"beta": float("nan")}, "beta=nan is not allowed"),
        ({"label_smoothing": 0.5}, "label_smoothing=0.5 is not allowed; allowed: from 0 to below .5"),
        ({"label_smoothing": 0.1, "loss": "ipo"}, "label_smoothing=0.1 is of the loss dpo; ipo has none"),
        ({"per_token": True, "loss": "kto"}, "per_token is of the losses dpo and ipo"),
        ({"sft_weight": -1.0}, "must be at least 0"),
    ],
)
def test_a_config_that_cannot_be(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        config(**changes)
