"""The torch engine: a text is its own affair, whoever joins and leaves beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engine import Continuation, Engine, Step
from model.generation import Decoding, generate
from model.lora import LoraConfig, add_lora
from model.serving.slots import PREFILL_TOKENS
from model.serving.static_cache import StaticCache
from model.torch_engine import TorchEngine
from tests.model import small

GREEDY = Decoding(max_tokens=9, temperature=0.0)
DRAWN = Decoding(max_tokens=12, temperature=1.0, top_p=0.9, top_k=20, repetition_penalty=1.1)
WAYS = (GREEDY, DRAWN, replace(GREEDY, repetition_penalty=1.3), Decoding(max_tokens=5), replace(DRAWN, top_k=3))
PROMPTS = ((4, 5, 6), (7,), tuple(range(1, 20)), (), (9,) * 20, (8, 2), (11, 12), (13,))
STOP = frozenset({17, 23, 31, 44})
MODEL = small.decoder(awake=True)


def asked(number: int, **changes: Any) -> Continuation:
    """One of many requests, all different in prompt, seed or way of drawing."""
    plain = Continuation(
        prompt=PROMPTS[number % len(PROMPTS)], decoding=WAYS[number % len(WAYS)], seed=number, stop=STOP
    )
    return replace(plain, **changes)


def alone(request: Continuation, *, model: Any = MODEL) -> list[int]:
    return generate(
        model, [request.prompt], decoding=request.decoding, seeds=[request.seed], stop=request.stop
    )[0]  # fmt: skip


@dataclass
class Talk:
    """An engine and what its slots have said so far."""

    engine: Engine
    running: dict[int, Continuation] = field(default_factory=dict)
    said: dict[int, list[int]] = field(default_factory=dict)
    ended: list[tuple[Continuation, list[int], str]] = field(default_factory=list)

    def join(self, request: Continuation) -> int:
        slot = self.engine.join(request)
        assert slot not in self.running
        self.running[slot], self.said[slot] = request, []
        return slot

    def step(self) -> list[Step]:
        steps = self.engine.step()
        assert len({step.slot for step in steps}) == len(steps)
        for step in steps:
            if step.token is not None:
                self.said[step.slot].append(step.token)
            if step.finished is not None:
                self.ended.append((self.running.pop(step.slot), self.said.pop(step.slot), step.finished))
        return steps

    def leave(self, slot: int) -> None:
        """Goes away; what was said until then must be how the whole text begins."""
        self.engine.leave(slot)
        request, said = self.running.pop(slot), self.said.pop(slot)
        assert said == alone(request)[: len(said)]

    def drain(self) -> None:
        while self.step():
            pass
        assert not self.running

    def check(self) -> None:
        for request, said, finished in self.ended:
            assert said == alone(request)
            assert finished == ("length" if len(said) == request.decoding.max_tokens else "stop")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("join", "join", "step", "step", "leave")), st.integers(0, 39)), max_size=30))
def test_texts_do_not_depend_on_who_joins_and_leaves(events: list[tuple[str, int]]) -> None:
    talk = Talk(TorchEngine(MODEL, slots=4))
    for what, number in events:
        if what == "join" and len(talk.running) < 4:
            talk.join(asked(number))
        elif what == "step":
            talk.step()
        elif what == "leave" and talk.running:
            talk.leave(sorted(talk.running)[number % len(talk.running)])
    talk.drain()
    talk.check()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"qk_norm": False}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"positions": "none"},
        {"norm": "layernorm"}, {"activation": "geglu"}, {"activation": "relu"}, {"activation": "gelu"},
        {"activation": "squared_relu"}, {"tied_embeddings": False}, {"n_kv_heads": 1}, {"n_kv_heads": 4},
    ],
    ids=str,
)  # fmt: skip
def test_every_shape_says_what_generate_says(changes: dict[str, Any]) -> None:
    model = small.decoder(awake=True, **changes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:  # as after training: norms that are not all alike
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.3)
    talk = Talk(TorchEngine(model, slots=10))
    for number in range(10):
        talk.join(asked(number))
    talk.drain()
    assert len(talk.ended) == 10
    for request, said, _ in talk.ended:
        assert said == alone(request, model=model)


def test_bfloat16_is_near_to_what_the_model_itself_gives() -> None:
    """Greedy tokens of a bfloat16 engine are, at every place, among the model's best within its rounding."""
    model = small.decoder(awake=True)
    model.dtype = torch.bfloat16
    talk = Talk(TorchEngine(model, slots=1))
    talk.join(Continuation(prompt=(4, 5, 6), decoding=replace(GREEDY, max_tokens=20), seed=0))
    talk.drain()
    _, said, _ = talk.ended[0]
    with torch.no_grad():
        logits = MODEL(torch.tensor([[0, 4, 5, 6, *said]]))[0, 3:-1]
    chosen = logits.gather(1, torch.tensor(said)[:, None])[:, 0]
    assert (logits.max(1).values - chosen).max() < 0.1


def test_a_prompt_and_its_answer_may_fill_the_context_and_not_more() -> None:
    engine = TorchEngine(MODEL, slots=1)
    request = Continuation(prompt=(5,) * 20, decoding=Decoding(max_tokens=12), seed=3)
    talk = Talk(engine)
    talk.join(request)
    talk.drain()
    talk.check()
    longer = replace(request, prompt=(5,) * 21)
    with pytest.raises(ValueError, match="a prompt of 21 tokens and max_tokens=12 are more than the context of 32"):
        engine.join(longer)
    assert engine.step() == []


def test_a_full_engine_refuses_and_a_slot_that_ended_is_free_at_once() -> None:
    talk = Talk(TorchEngine(MODEL, slots=2))
    kept, left = talk.join(asked(0)), talk.join(asked(1))
    with pytest.raises(ValueError, match="all 2 slots are taken"):
        talk.engine.join(asked(2))
    talk.step()
    talk.leave(left)
    talk.engine.leave(left)  # once more: it stays free, once
    assert talk.join(asked(2)) == left
    with pytest.raises(ValueError, match="all 2 slots are taken"):
        talk.engine.join(asked(3))
    assert kept in talk.running
    talk.drain()
    talk.check()


def test_one_that_leaves_before_its_first_token_is_never_read() -> None:
    talk = Talk(TorchEngine(MODEL, slots=2))
    talk.join(asked(0))
    talk.engine.leave(talk.join(asked(1)))
    assert [step.slot for step in talk.engine.step()] == [0]


def test_a_queue_of_long_prompts_does_not_keep_the_others_waiting() -> None:
    model = small.decoder(awake=True, context=PREFILL_TOKENS)
    talk = Talk(TorchEngine(model, slots=4))
    first = talk.join(Continuation(prompt=(3,), decoding=Decoding(max_tokens=20), seed=0))
    talk.step()
    for seed in (1, 2, 3):
        talk.join(Continuation(prompt=(seed,) * 600, decoding=Decoding(max_tokens=20), seed=seed))
    counts = []
    for _ in range(3):
        steps = talk.step()
        assert first in {step.slot for step in steps}
        counts.append(len(steps))
    assert counts == [2, 3, 4]  # one long prompt a step


def test_the_cache_stays_where_it_is_through_many_requests() -> None:
    engine = TorchEngine(MODEL, slots=2)
    cache = engine._cache
    assert isinstance(cache, StaticCache)
    before = cache.keys.data_ptr(), cache.values.data_ptr(), cache.keys.shape
    talk = Talk(engine)
    for number in range(30):
        talk.join(asked(number))
        talk.step()
        if len(talk.running) == 2:
            talk.leave(min(talk.running))
    assert (cache.keys.data_ptr(), cache.values.data_ptr(), cache.keys.shape) == before


def test_the_number_of_threads_is_what_was_asked() -> None:
    talk = Talk(TorchEngine(MODEL, slots=1, threads=2))
    talk.join(asked(0))
    talk.step()
    assert torch.get_num_threads() == 2


def test_an_adapter_that_was_not_merged_is_refused() -> None:
    model = small.decoder()
    add_lora(model, LoraConfig(rank=2, alpha=2.0, targets=("q_proj",)), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="plain matrices, not LoraLinear: merge the adapter first"):
        TorchEngine(model, slots=1)


def test_slots_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="slots=0 is below 1"):
        TorchEngine(MODEL, slots=0)
