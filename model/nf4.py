"""NF4: frozen matrices in four bits a weight, for QLoRA (arXiv:2305.14314, section 3).

Weights are cut into blocks, each scaled by its largest magnitude, and every weight becomes the nearest of 16 levels
that are equally likely under a normal distribution. Plain torch, so it runs wherever torch's CPU and CUDA kernels do.
Letters: N weights of a matrix, S blocks, G groups of blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from model.decoder import Decoder, Linear

log = logging.getLogger(__name__)

LAYER_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
DEVICES = ("cpu", "cuda")

BLOCK = 64  # weights that share a scale, as in the paper
GROUP = 256  # scales that share a scale of their own where they are quantised too, as in the paper
FP8_MAX = 448.0  # of float8_e4m3fn

# The code book of the paper's appendix E: quantiles of the normal distribution, scaled to [-1, 1], with an exact zero.
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Nf4Weight:
    """A quantised tensor.

    codes: uint8, two a byte, the first in the high bits, padded to whole blocks; absmax: (S,), float32, the scale of
    each block. Where the scales are quantised too: absmax: (S,), uint8, the bits of float8_e4m3fn numbers, which
    absmax_scale: (G,), float32, multiplies and absmax_mean: (1,), float32, is added to.
    """

    shape: tuple[int, ...]
    block: int
    codes: Tensor
    absmax: Tensor
    absmax_scale: Tensor | None = None
    absmax_mean: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        parts = (self.codes, self.absmax, self.absmax_scale, self.absmax_mean)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a model's weights before and after quantising."""

    before_bytes: int
    after_bytes: int


def quantize_nf4(weight: Tensor, *, block: int = BLOCK, double: bool = False) -> Nf4Weight:
    """Quantise a tensor of any shape in blocks of its row-major order; double: the scales too, to eight bits.

    Raises ValueError where the block is no positive even number, a weight is not finite or the device is unsupported.
    """
    _check(weight, block)
    with torch.no_grad():
        flat = weight.detach().float().flatten()  # (N,)
        blocks = F.pad(flat, (0, -flat.numel() % block)).view(-1, block)  # (S, block)
        absmax = blocks.abs().amax(dim=1)  # (S,)
        scale, mean = None, None
        if double:
            absmax, scale, mean = _quantize_absmax(absmax)
        scales = _absmax(absmax, scale, mean).unsqueeze(1)  # (S, 1)
        normed = blocks / torch.where(scales > 0, scales, 1.0)
        levels = torch.tensor(LEVELS, device=weight.device)
        nearest = torch.bucketize(normed, (levels[:-1] + levels[1:]) / 2).to(torch.uint8)  # (S, block)
        pairs = nearest.view(-1, 2)
        codes = (pairs[:, 0] << 4) | pairs[:, 1]
    return Nf4Weight(
        shape=tuple(weight.shape), block=block, codes=codes, absmax=absmax, absmax_scale=scale, absmax_mean=mean
    )


def dequantize_nf4(weight: Nf4Weight) -> Tensor:
    """The tensor that the codes stand for, float32, of the shape that was quantised."""
    return _dequantize(
        weight.codes, weight.absmax, weight.absmax_scale, weight.absmax_mean, pair_table(weight.codes.device),
        weight.shape, weight.block,
    )  # fmt: skip


def pair_table(device: torch.device) -> Tensor:
    """The two levels that each byte of codes stands for: (256, 2), float32."""
    levels = torch.tensor(LEVELS)
    return torch.cartesian_prod(levels, levels).to(device)


def _check(weight: Tensor, block: int) -> None:
    if weight.device.type not in DEVICES:
        raise ValueError(f"4-bit weights run on {' and '.join(DEVICES)}, not on {weight.device.type}: use LoRA without")
    if block < 2 or block % 2:
        raise ValueError(f"block={block} is not allowed; allowed: even numbers from 2, {BLOCK} in the paper")
    if not torch.isfinite(weight).all():
        raise ValueError(f"a weight of the {tuple(weight.shape)} matrix is not finite: it cannot be quantised")


def _quantize_absmax(absmax: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Double quantisation: the scales around their mean as 8-bit floats, with one float32 scale for `GROUP` of them."""
    mean = absmax.mean().view(1)
    centred = absmax - mean
    groups = F.pad(centred, (0, -centred.numel() % GROUP)).view(-1, GROUP)  # (G, GROUP)
    scale = groups.abs().amax(dim=1) / FP8_MAX  # (G,)
    eighth = (groups / torch.where(scale > 0, scale, 1.0).unsqueeze(1)).clamp(-FP8_MAX, FP8_MAX)
    bits = eighth.to(torch.float8_e4m3fn).view(torch.uint8).flatten()[: absmax.numel()]
    return bits.clone(), scale, mean


def _absmax(absmax: Tensor, scale: Tensor | None, mean: Tensor | None) -> Tensor:
    if scale is None or mean is None:
        return absmax
    spread = scale.repeat_interleave(GROUP)[: absmax.numel()]  # (S,)
    return (absmax.view(torch.float8_e4m3fn).float() * spread + mean).clamp(min=0.0)


def _dequantize(
    codes: Tensor,
    absmax: Tensor,
    scale: Tensor | None,
    mean: Tensor | None,
    table: Tensor,
    shape: tuple[int, ...],
    block: int,
) -> Tensor:
    values = F.embedding(codes.int(), table).view(-1, block)  # (S, block)
    scaled = values * _absmax(absmax, scale, mean).unsqueeze(1)
    return scaled.flatten()[: torch.Size(shape).numel()].view(shape)


class _Nf4Product(Function):
    """x W^T where W is unpacked for the moment of each product and never kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        codes: Tensor,
        absmax: Tensor,
        scale: Tensor | None,
        mean: Tensor | None,
        table: Tensor,
        shape: tuple[int, ...],
        block: int,
    ) -> Tensor:
        ctx.save_for_backward(codes, absmax, scale, mean, table)
        ctx.shape, ctx.block = shape, block
        return F.linear(x, _dequantize(codes, absmax, scale, mean, table, shape, block).to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        codes, absmax, scale, mean, table = ctx.saved_tensors
        weight = _dequantize(codes, absmax, scale, mean, table, ctx.shape, ctx.block).to(grad.dtype)
        return torch.matmul(grad, weight), None, None, None, None, None, None, None


class Nf4Linear(nn.Module):
    """A frozen matrix without bias, held as NF4 codes and multiplied in the dtype of its input."""

    codes: Tensor
    absmax: Tensor
    absmax_scale: Tensor | None
    absmax_mean: Tensor | None
    table: Tensor

    def __init__(self, weight: Nf4Weight) -> None:
        super().__init__()
        if len(weight.shape) != 2:
            raise ValueError(f"a weight of shape {weight.shape} is no matrix")
        self.out_features, self.in_features = weight.shape
        self.block = weight.block
        for name in ("codes", "absmax", "absmax_scale", "absmax_mean"):
            self.register_buffer(name, getattr(weight, name))
        self.register_buffer("table", pair_table(weight.codes.device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., d_in). Returns (..., d_out) in x's dtype."""
        shape = (self.out_features, self.in_features)
        product = _Nf4Product.apply(  # type: ignore[no-untyped-call]
            x, self.codes, self.absmax, self.absmax_scale, self.absmax_mean, self.table, shape, self.block
        )
        return cast(Tensor, product)

    def dequantize(self) -> Tensor:
        """The matrix: (d_out, d_in), float32."""
        shape = (self.out_features, self.in_features)
        return _dequantize(
            self.codes, self.absmax, self.absmax_scale, self.absmax_mean, self.table, shape, self.block
        )  # fmt: skip


def layer_matrices(model: Decoder, names: Collection[str]) -> dict[str, nn.Module]:
    """Every matrix of the layers that bears one of the names, by its full name."""
    return {full: module for full, module in model.named_modules() if full.rpartition(".")[2] in names}


def quantize_base(
    model: Decoder, *, targets: Collection[str] = LAYER_MATRICES, block: int = BLOCK, double: bool
) -> Footprint:
    """Replace matrices of the layers by NF4 in place, before `add_lora`; embeddings, norms and output stay float32.

    double: quantise the scales too. Returns the weights' bytes before and after. Raises ValueError where a target is
    unknown, is quantised or wrapped already, or lies on a device without 4-bit weights; the model is then unchanged.
    """
    if unknown := [name for name in targets if name not in LAYER_MATRICES]:
        raise ValueError(f"targets={unknown[0]!r} is unknown; allowed: {', '.join(LAYER_MATRICES)}")
    found = layer_matrices(model, targets)
    for name, module in found.items():
        if not isinstance(module, Linear):
            raise ValueError(f"{name} is a {type(module).__name__}: quantise a plain model, before LoRA is added")
        _check(module.weight, block)
    before = weight_bytes(model)
    for name, module in found.items():
        weight = quantize_nf4(cast(Tensor, module.weight), block=block, double=double)
        model.set_submodule(name, Nf4Linear(weight))
    after = weight_bytes(model)
    log.info("NF4: weights in %.1f MiB instead of %.1f", after / 2**20, before / 2**20)
    return Footprint(before_bytes=before, after_bytes=after)


def dequantize_base(model: Decoder) -> None:
    """Put plain float32 matrices back in place of every NF4 one."""
    for name, module in layer_matrices(model, LAYER_MATRICES).items():
        if isinstance(module, Nf4Linear):
            model.set_submodule(name, plain_linear(module))


def plain_linear(module: Nf4Linear) -> Linear:
    """A float32 matrix with the values of a quantised one."""
    linear = Linear(module.in_features, module.out_features)
    linear.weight = nn.Parameter(module.dequantize())
    return linear


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and of the buffers that a checkpoint holds, shared ones once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}.values())
