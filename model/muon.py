"""Optimisers: Muon for the matrices with AdamW for the rest, or AdamW alone; their state is plain named tensors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

OptimiserKind = Literal["muon", "adamw"]

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a quintic with a steep slope at zero: singular values to .7-1.2 in 5 steps


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Which update for which parameter. Rates are peaks, scaled by the schedule."""

    kind: OptimiserKind
    muon_lr: float  # read where kind is "muon": the matrices of the layers
    adamw_lr: float  # embeddings, norms, biases, the output matrix; everything where kind is "adamw"
    muon_momentum: float
    betas: tuple[float, float]
    weight_decay: float  # decoupled, on matrices of layers only
    newton_schulz_steps: int

    def __post_init__(self) -> None:
        if self.kind not in ("muon", "adamw"):
            raise ValueError(f"optimiser={self.kind!r} is unknown; allowed: muon, adamw")
        if min(self.muon_lr, self.adamw_lr) <= 0:
            raise ValueError(f"muon_lr={self.muon_lr} and adamw_lr={self.adamw_lr} must be above 0")


def orthogonalise(stack: Tensor, *, steps: int) -> Tensor:
    """Bring matrices near their orthogonal factor by Newton-Schulz (Muon, kellerjordan.github.io/posts/muon).

    stack: (N, R, S), R <= S, float32 or bfloat16. Returns the same shape; all N in one batched product a time.
    """
    a, b, c = NEWTON_SCHULZ
    x = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))  # (N, R, R)
        mixed = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b gram + c gram gram
        x = torch.baddbmm(x, mixed, x, beta=a)  # (N, R, S)
    return cast(Tensor, x)


class Optimiser:
    """Muon and AdamW over named parameters.

    Matrices of the layers (two dimensions, not an embedding, not the output) go to Muon where the config says so.
    `state` maps "<parameter>/<slot>" to a tensor: what a checkpoint has to keep beside the step.
    """

    def __init__(self, model: nn.Module, config: OptimiserConfig, *, matmul_dtype: torch.dtype) -> None:
        self.config = config
        self.matmul_dtype = matmul_dtype
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.matrices = [n for n, p in self.parameters.items() if p.ndim == 2 and ".layers." in n]
        chosen = set(self.matrices) if config.kind == "muon" else set()
        self.by_muon = self._same_shapes(chosen)
        self.by_adamw = [name for name in self.parameters if name not in chosen]
        self.state: dict[str, Tensor] = {}
        for name in self.parameters:
            for slot in ("momentum",) if name in chosen else ("mean", "square"):
                self.state[f"{name}/{slot}"] = torch.zeros_like(self.parameters[name])

    def _same_shapes(self, names: set[str]) -> list[list[str]]:
        groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name in self.parameters:
            if name in names:
                rows, columns = self.parameters[name].shape
                groups[min(rows, columns), max(rows, columns)].append(name)
        return list(groups.values())

    @torch.no_grad()
    def step(self, *, step: int, scale: float) -> None:
        """Apply the gradients. step: from 0; scale: the schedule's share of the peak rates."""
        for group in self.by_muon:
            self._muon(group, lr=self.config.muon_lr * scale)
        self._adamw(step=step, lr=self.config.adamw_lr * scale)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def gradients(self) -> list[Tensor]:
        """The gradients that are there."""
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def _muon(self, names: list[str], *, lr: float) -> None:
        updates = []
        for name in names:
            gradient, momentum = self._gradient(name), self.state[f"{name}/momentum"]
            momentum.lerp_(gradient, 1.0 - self.config.muon_momentum)
            update = gradient.lerp(momentum, self.config.muon_momentum)  # Nesterov
            updates.append(update if update.shape[0] <= update.shape[1] else update.T)
        stack = orthogonalise(torch.stack(updates).to(self.matmul_dtype), steps=self.config.newton_schulz_steps)
        for name, update in zip(names, stack.float(), strict=True):
            parameter = self.parameters[name]
            rows, columns = parameter.shape
            parameter.mul_(1.0 - lr * self.config.weight_decay)
            oriented = update if rows <= columns else update.T
            parameter.add_(oriented, alpha=-lr * max(1.0, rows / columns) ** 0.5)

    def _adamw(self, *, step: int, lr: float) -> None:
        first, second = self.config.betas
        names = self.by_adamw
        if not names:
            return
        parameters: list[Tensor] = [self.parameters[name] for name in names]
        gradients = [self._gradient(name) for name in names]
        means = [self.state[f"{name}/mean"] for name in names]
        squares = [self.state[f"{name}/square"] for name in names]
        decayed: list[Tensor] = [self.parameters[name] for name in names if name in self.matrices]
        if decayed:
            torch._foreach_mul_(decayed, 1.0 - lr * self.config.weight_decay)
        torch._foreach_lerp_(means, gradients, 1.0 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, (1.0 - second ** (step + 1)) ** 0.5)
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_addcdiv_(parameters, means, roots, -lr / (1.0 - first ** (step + 1)))

    def _gradient(self, name: str) -> Tensor:
        gradient = self.parameters[name].grad
        if gradient is None:
            raise ValueError(f"{name} has no gradient: the loss does not depend on it")
        return gradient


def clip(gradients: list[Tensor], *, limit: float) -> Tensor:
    """Scale the gradients in place so that their joint norm is at most `limit`. Returns the norm before, a scalar."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    return cast(Tensor, norm)
