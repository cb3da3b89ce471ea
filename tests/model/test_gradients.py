"""The loss of tokens that count differently: torch's cross entropy and its gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from model.gradients import token_loss

N, C, V = 11, 6, 7


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    hidden, weight = torch.randn(N, C, generator=generator), torch.randn(V, C, generator=generator)
    targets = torch.randint(V, (N,), generator=generator)
    targets[[2, 5]] = -100
    counts = torch.rand(N, generator=generator) * 3
    counts[7] = 0.0
    return hidden, weight, targets, counts


@pytest.mark.parametrize("rows_at_once", [4, 2048])
def test_it_equals_torchs_cross_entropy_and_its_gradients(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr("model.gradients.LOSS_ROWS", rows_at_once)
    hidden, weight, targets, counts = inputs()
    ours = [x.clone().requires_grad_() for x in (hidden, weight)]
    theirs = [x.clone().requires_grad_() for x in (hidden, weight)]
    loss = token_loss(*ours, targets, ignore=-100, counts=counts)
    each = F.cross_entropy(theirs[0] @ theirs[1].t(), targets, ignore_index=-100, reduction="none")
    expected = (each * counts).sum()
    torch.testing.assert_close(loss, expected)
    mine, other = (torch.autograd.grad(x / 3, of) for x, of in ((loss, ours), (expected, theirs)))
    torch.testing.assert_close(mine, other)
    assert not mine[0][[2, 5, 7]].any()  # neither what is ignored nor what counts nothing


def test_the_gradient_is_that_of_finite_differences() -> None:
    hidden, weight, targets, counts = inputs()

    def loss(at: torch.Tensor) -> float:
        return float(token_loss(at, weight, targets, ignore=-100, counts=counts))

    moved = hidden.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(token_loss(moved, weight, targets, ignore=-100, counts=counts), moved)
    generator = torch.Generator().manual_seed(5)
    for _ in range(5):
        direction = torch.randn(N, C, generator=generator)
        slope = (loss(hidden + 1e-2 * direction) - loss(hidden - 1e-2 * direction)) / 2e-2
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-2, abs=1e-2)


def test_counts_of_one_are_no_counts() -> None:
    hidden, weight, targets, _ = inputs()
    plain = token_loss(hidden, weight, targets, ignore=-100)
    assert float(token_loss(hidden, weight, targets, ignore=-100, counts=torch.ones(N))) == float(plain)


def test_no_target_at_all_is_a_loss_of_nothing() -> None:
    hidden = torch.zeros(0, C, requires_grad=True)
    weight = torch.randn(V, C, requires_grad=True)
    loss = token_loss(hidden, weight, torch.zeros(0, dtype=torch.int64), ignore=-100)
    loss.backward()
    assert float(loss.detach()) == 0
    assert weight.grad is not None
    assert not weight.grad.any()
