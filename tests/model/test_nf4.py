"""NF4: the paper's code book, its error, and LoRA on a base that is held in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from model.decoder import Decoder
from model.lora import LoraConfig, add_lora, load_adapter, merge_lora, save_adapter, trainable_parameters
from model.nf4 import (
    LAYER_MATRICES,
    LEVELS,
    Nf4Linear,
    dequantize_base,
    dequantize_nf4,
    quantize_base,
    quantize_nf4,
    weight_bytes,
)
from tests.model import small
from tests.model.test_lora import ADAMW, ALL, QV, logits


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantised(*, double: bool = False) -> Decoder:
    model = small.decoder(awake=True)
    quantize_base(model, double=double)
    return model


def test_the_levels_are_the_papers_quantiles() -> None:
    """Section 3: the mean of neighbouring quantiles on both sides of zero; offset as in the authors' code."""
    offset = (1 - 1 / 32 + 1 - 1 / 30) / 2
    quantile = NormalDist().inv_cdf
    above = [quantile(offset + (0.5 - offset) * step / 8) for step in range(8)]
    below = [-quantile(offset + (0.5 - offset) * step / 7) for step in range(7)]
    expected = torch.tensor(sorted([*below, 0.0, *above])) / max(above)
    torch.testing.assert_close(torch.tensor(LEVELS), expected, rtol=0.0, atol=2e-6)


@pytest.mark.parametrize("scale", [1.0, 0.25, 3.0])
def test_the_levels_themselves_survive_exactly(scale: float) -> None:
    weight = torch.tensor(LEVELS).repeat(4).view(8, 8) * scale
    assert torch.equal(dequantize_nf4(quantize_nf4(weight)), weight)


@pytest.mark.parametrize("block", [2, 32, 64])
def test_no_weight_is_off_by_more_than_half_a_gap(block: int) -> None:
    weight = normal(48, 64)
    stored = quantize_nf4(weight, block=block)
    absmax = weight.view(-1, block).abs().amax(1, keepdim=True)
    error = (dequantize_nf4(stored) - weight).view(-1, block).abs() / absmax
    levels = torch.tensor(LEVELS)
    assert float(error.max()) <= float((levels[1:] - levels[:-1]).max()) / 2 + 1e-6
    nearest = (weight.view(-1, block, 1) / absmax[..., None] - levels).abs().amin(-1)
    torch.testing.assert_close(error, nearest, rtol=0.0, atol=1e-6)


def test_normal_weights_lose_less_than_a_tenth() -> None:
    weight = normal(256, 256)
    for double, limit in ((False, 0.0935), (True, 0.094)):  # relative root mean square: 0.0924 and 0.0929 were seen
        error = dequantize_nf4(quantize_nf4(weight, double=double)) - weight
        assert float(error.norm() / weight.norm()) < limit


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (65, 64), (7,)])
@pytest.mark.parametrize("double", [False, True])
def test_shapes_that_do_not_fill_a_block(shape: tuple[int, ...], double: bool) -> None:
    weight = normal(*shape)
    back = dequantize_nf4(quantize_nf4(weight, double=double))
    assert back.shape == weight.shape
    assert float((back - weight).abs().max()) < 0.2 * float(weight.abs().max())


def test_zeros_stay_zeros() -> None:
    weight = torch.zeros(4, 64)
    weight[1] = 1.0
    assert torch.equal(dequantize_nf4(quantize_nf4(weight)), weight)


def test_the_bits_are_those_of_the_paper() -> None:
    weight = normal(512, 512)
    assert 8 * quantize_nf4(weight).nbytes / weight.numel() == 4.5
    assert 8 * quantize_nf4(weight, double=True).nbytes / weight.numel() == pytest.approx(4.127, abs=1e-3)


@pytest.mark.parametrize("double", [False, True])
def test_a_quantised_product_and_its_gradient(double: bool) -> None:
    stored = quantize_nf4(normal(24, 32), double=double)
    layer, x = Nf4Linear(stored), normal(2, 5, 32, seed=1).requires_grad_()
    same = x.detach().clone().requires_grad_()
    ours, theirs = layer(x), F.linear(same, dequantize_nf4(stored))
    upstream = normal(2, 5, 24, seed=2)
    torch.testing.assert_close(ours, theirs)
    ours.backward(upstream)
    theirs.backward(upstream)
    torch.testing.assert_close(x.grad, same.grad)


def test_the_unpacked_matrix_is_not_kept_for_the_backward_pass() -> None:
    layer, shapes = Nf4Linear(quantize_nf4(normal(24, 32))), []

    def note(tensor: Tensor) -> Tensor:
        shapes.append((tensor.dtype, tuple(tensor.shape)))
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        layer(normal(5, 32).requires_grad_())
    assert sorted(shapes, key=str) == [
        (torch.float32, (12,)), (torch.float32, (256, 2)), (torch.uint8, (384,)),
    ]  # fmt: skip


@pytest.mark.parametrize("double", [False, True])
def test_lora_learns_on_a_quantised_base(tmp_path: Path, double: bool) -> None:
    model = quantised(double=double)
    base = logits(model)
    add_lora(model, ALL, generator=torch.Generator().manual_seed(5))
    assert torch.equal(logits(model), base)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = small.trainer(small.write_tokens(tmp_path), steps=9, model=model, optimiser=ADAMW)
    losses = [run.train_step()[0]["train/loss"] for _ in range(9)]
    assert losses[-1] < losses[0]
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if "lora_" in name}


def test_the_gradient_of_lora_is_that_of_the_same_base_unpacked() -> None:
    packed, unpacked = quantised(), quantised()
    dequantize_base(unpacked)
    for model in (packed, unpacked):
        add_lora(model, ALL, generator=torch.Generator().manual_seed(5))
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.02)
        model(torch.arange(20).view(2, 10)).square().mean().backward()
    theirs = dict(unpacked.named_parameters())
    for name, parameter in packed.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, theirs[name].grad)


@pytest.mark.parametrize("config", [QV, ALL])
def test_merged_it_is_plain_again(config: LoraConfig) -> None:
    model, plain = quantised(double=True), small.decoder()
    add_lora(model, config, generator=torch.Generator().manual_seed(5))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.02)
    expected = logits(model)
    merge_lora(model)
    torch.testing.assert_close(logits(model), expected, rtol=0.0, atol=1e-5)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert {type(m) for m in model.modules()} == {type(m) for m in plain.modules()}
    assert trainable_parameters(model) == plain.parameter_count()


def test_a_run_on_a_quantised_base_is_saved_and_resumed(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path / "tokens")

    def trained(state: Path | None) -> Decoder:
        model = quantised(double=True)
        add_lora(model, QV, generator=torch.Generator().manual_seed(5))
        run = small.trainer(tokens, steps=10, evaluate_every=5, state=state, model=model, optimiser=ADAMW)
        run.run()
        return run.model

    whole = trained(tmp_path)
    (tmp_path / "checkpoints" / "step-00000010.safetensors").unlink()
    resumed = trained(tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    save_adapter(tmp_path / "adapter", whole)
    loaded = quantised(double=True)
    load_adapter(tmp_path / "adapter", loaded)
    assert torch.equal(logits(loaded), logits(whole))


def test_the_weights_take_fewer_bytes() -> None:
    model = small.decoder(d_model=64, n_layers=4, d_ff=192)
    matrices = sum(p.numel() for n, p in model.named_parameters() if n.rpartition(".")[0].endswith(LAYER_MATRICES))
    before = weight_bytes(model)
    footprint = quantize_base(model, double=False)
    assert footprint.before_bytes == before == 4 * small.decoder(d_model=64, n_layers=4, d_ff=192).parameter_count()
    assert footprint.after_bytes == weight_bytes(model) == before - 4 * matrices + matrices * 4.5 / 8


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda: quantize_nf4(torch.empty(4, 4, device="meta")), "4-bit weights run on cpu and cuda, not on meta"),
        (lambda: quantize_base(small.decoder().to("meta"), double=True), "run on cpu and cuda, not on meta"),
        (lambda: quantize_nf4(normal(4, 4), block=3), "block=3 is not allowed; allowed: even numbers from 2"),
        (lambda: quantize_nf4(normal(4, 4) / 0), "is not finite"),
        (lambda: quantize_base(small.decoder(), targets=["lm_head"], double=True), "'lm_head' is unknown; allowed: q_"),
        (lambda: quantize_base(quantised(), double=True), "q_proj is a Nf4Linear: quantise a plain model"),
        (lambda: Nf4Linear(quantize_nf4(normal(4))), "is no matrix"),
    ],
)
def test_bad_input_is_one_clear_line(act: Callable[[], object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        act()
