"""The decoder: causal, equal to what it is said to equal, and every variant trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from model.attention import attention_mask, causal_attention, rotation
from model.checkpoint import save_model
from model.gradients import rms_norm, rotate, token_loss
from tests.model import small

CPU = torch.device("cpu")


def test_future_tokens_do_not_change_past_logits() -> None:
    model = small.decoder(awake=True)
    ids = torch.randint(61, (2, 32), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[:, 20:] = (changed[:, 20:] + 7) % 61
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_initial_loss_is_that_of_guessing() -> None:
    model = small.decoder()
    ids = torch.randint(61, (16, 33), generator=torch.Generator().manual_seed(0))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert float(loss.detach()) == pytest.approx(math.log(61), abs=0.05)


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize("positions", [1, 100, 128, 300])
def test_blocked_attention_and_its_gradients_equal_the_reference(documents: bool, positions: int) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, 6, positions, 16), (2, 3, positions, 16), (2, 3, positions, 16)]
    ours = [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    numbers = torch.randint(3, (2, positions), generator=generator).sort(1).values if documents else None
    mask = attention_mask(positions, documents=numbers, dtype=torch.float32, device=CPU)
    assert mask is not None
    out = causal_attention(*ours, mask)
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=mask[:, None], enable_gqa=True)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn(out.shape, generator=generator)
    for mine, other in zip(
        torch.autograd.grad(out, ours, upstream), torch.autograd.grad(expected, theirs, upstream), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_hand_written_gradients_are_gradients() -> None:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)

    generator = torch.Generator().manual_seed(2)
    cos, sin = (x.double() for x in rotation(torch.arange(5)[None], d_head=4, theta=10.0))
    targets = torch.tensor([1, -100, 3, 0])
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, eps=1e-6), (random(2, 3, 4), random(4)))
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), (random(1, 2, 5, 4),))
    hidden, weight = torch.randn(4, 6, generator=generator), torch.randn(7, 6, generator=generator)
    ours = [x.clone().requires_grad_() for x in (hidden, weight)]
    theirs = [x.clone().requires_grad_() for x in (hidden, weight)]
    loss = token_loss(*ours, targets, ignore=-100)
    expected = F.cross_entropy(theirs[0] @ theirs[1].t(), targets, ignore_index=-100, reduction="sum")
    torch.testing.assert_close(loss, expected)
    for mine, other in zip(torch.autograd.grad(loss / 3, ours), torch.autograd.grad(expected / 3, theirs), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("changes", [{}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"n_kv_heads": 4}])
def test_cached_decoding_equals_the_full_forward(changes: dict[str, Any]) -> None:
    model = small.decoder(awake=True, **changes)
    ids = torch.randint(61, (3, 20), generator=torch.Generator().manual_seed(0))
    padding = torch.tensor([0, 4, 2])
    cache = model.new_cache(rows=3, capacity=32, starts=padding)
    with torch.no_grad():
        stepped = [model.step(ids[:, :6], cache)] + [model.step(ids[:, t : t + 1], cache) for t in range(6, 20)]
        for row, start in enumerate(padding.tolist()):
            whole = model(ids[row : row + 1, start:])[0]
            torch.testing.assert_close(torch.stack([s[row] for s in stepped]), whole[5 - start :], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"qk_norm": False}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"positions": "none"},
        {"norm": "layernorm"}, {"activation": "geglu"}, {"activation": "relu"}, {"activation": "gelu"},
        {"activation": "squared_relu"}, {"tied_embeddings": False}, {"n_kv_heads": 1},
    ],
    ids=str,
)  # fmt: skip
def test_every_variant_learns(changes: dict[str, Any], tmp_path: Path) -> None:
    run = small.trainer(small.write_tokens(tmp_path), steps=8, model=small.decoder(**changes))
    losses = [run.train_step()[0]["train/loss"] for _ in range(8)]
    assert losses[0] == pytest.approx(math.log(61), abs=0.05)
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.filterwarnings("default")  # transformers' own
@pytest.mark.parametrize("qk_norm", [True, False], ids=["qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_saved_folder_gives_equal_logits_in_transformers(tmp_path: Path, qk_norm: bool, tied: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = small.decoder(awake=True, qk_norm=qk_norm, tied_embeddings=tied)
    save_model(tmp_path, model, tokenizer=None)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert type(theirs).__name__ == ("Qwen3ForCausalLM" if qk_norm else "LlamaForCausalLM")
    ids = torch.randint(61, (2, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"n_kv_heads": 3}, "n_heads=4 is not divisible by n_kv_heads=3"),
        ({"d_head": 7}, "d_head=7 is odd"),
        ({"activation": "tanh"}, "activation='tanh' is unknown; allowed: swiglu"),
        ({"n_layers": 0}, "n_layers=0 is below 1"),
        ({"end_id": 99}, "end_id=99 is outside"),
    ],
)
def test_an_impossible_shape_is_one_clear_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        small.decoder(**changes)


def test_a_shape_that_cannot_be_exported_says_which_part() -> None:
    line = small.decoder(positions="learned", activation="relu").config.why_not_exportable()
    assert line is not None
    assert "positions=learned (must be rope)" in line
    assert "activation=relu (must be swiglu)" in line
    assert small.CONFIG.why_not_exportable() is None
