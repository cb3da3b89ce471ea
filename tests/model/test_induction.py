"""The induction circuit that a model starts with: what it does before a single step, and to whom it is given."""

import math
from dataclasses import replace

import pytest
import torch

from model.decoder import Decoder, initialise
from model.induction import fits, set_induction_heads
from tests.model.small import CONFIG

SHAPE = replace(CONFIG, vocabulary_size=512, context=256, d_model=128, n_heads=2, n_kv_heads=2, d_head=64)


def made(*, induction: bool, seed: int = 1) -> Decoder:
    model = Decoder(SHAPE)
    generator = torch.Generator().manual_seed(seed)
    initialise(model, generator=generator)
    if induction:
        set_induction_heads(model, generator=generator)
    return model


@torch.no_grad()
def losses(model: Decoder, length: int) -> tuple[float, float]:
    """Nats a token of random tokens said twice: of the first time, and of the second."""
    ids = torch.randint(1, 512, (16, length), generator=torch.Generator().manual_seed(3))
    ids = torch.cat([ids, ids], dim=1)  # (16, 2 length)
    costs = torch.nn.functional.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction="none")
    return float(costs[:, : length - 1].mean()), float(costs[:, length:].mean())


@pytest.mark.parametrize("length", [20, 100])
def test_what_was_said_before_is_expected_again_from_the_start(length: int) -> None:
    first, again = losses(made(induction=True), length)
    assert again < first - 1.0
    plain_first, plain_again = losses(made(induction=False), length)
    assert plain_again == pytest.approx(plain_first, abs=0.1)


def test_the_first_loss_is_that_of_a_guess_and_little_more() -> None:
    first, _ = losses(made(induction=True), 50)
    assert math.log(512) - 0.1 < first < math.log(512) + 2.0


@torch.no_grad()
def test_the_first_head_looks_one_token_back() -> None:
    model = made(induction=True)
    ids = torch.randint(1, 512, (1, 40), generator=torch.Generator().manual_seed(5))
    other = ids.clone()
    other[0, 20] = (other[0, 20] + 7) % 512
    attention = model.model.layers[0].self_attn
    cos, sin = model._rotation(torch.arange(40)[None])
    mask = torch.full((1, 40, 40), -math.inf).triu(1)
    outs = [
        attention(model.model.layers[0].input_layernorm(model.model.embed_tokens(which)), cos, sin, mask)[0]
        for which in (ids, other)
    ]
    changed = (outs[0] - outs[1]).norm(dim=-1)
    assert int(changed.argmax()) == 21  # the token after the one that was changed
    assert changed[21] > 5 * changed[22:].max()


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two = made(induction=True), made(induction=True)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.output_weight(), made(induction=True, seed=2).output_weight())


@pytest.mark.parametrize(
    "change", [{"positions": "learned"}, {"qk_norm": False}, {"n_layers": 1}, {"d_head": 16}, {"d_model": 32}]
)
def test_a_shape_without_room_for_it_says_so(change: dict[str, object]) -> None:
    config = replace(SHAPE, **change)
    assert not fits(config)
    with pytest.raises(ValueError, match="needs rotary positions, a QK norm, two layers"):
        set_induction_heads(Decoder(config), generator=torch.Generator())


def test_grouped_queries_fit_too() -> None:
    model = Decoder(replace(SHAPE, n_kv_heads=1))
    generator = torch.Generator().manual_seed(1)
    initialise(model, generator=generator)
    set_induction_heads(model, generator=generator)
    first, again = losses(model, 40)
    assert again < first - 1.0
