"""The engine llama.cpp: the torch engine's tokens, whoever joins and leaves beside them."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model.engine import Continuation, Engine
from model.generation import Decoding
from model.torch_engine import TorchEngine
from tasks.stage import UserError
from tests.conftest import MISSING
from tests.model.conftest import _one_thread as _one_thread
from tests.tasks.exporting import made

pytest.importorskip("llama_cpp", reason=f"{MISSING}llama-cpp-python (`make llama-cpp` builds it)")

from tasks.serving.llama_cpp import LlamaCppEngine

GREEDY = Decoding(max_tokens=30, temperature=0.0)
WAYS = (GREEDY, Decoding(max_tokens=20, top_p=0.9, repetition_penalty=1.2), Decoding(max_tokens=40, top_k=20))


def questions(count: int) -> list[Continuation]:
    """Prompts of many lengths, sampled in several ways."""
    chance = random.Random(0)  # noqa: S311
    return [
        Continuation(
            prompt=tuple(chance.randrange(4, 500) for _ in range(chance.randrange(0, 80))),
            decoding=WAYS[at % len(WAYS)], seed=at, stop=frozenset({2}),
        )
        for at in range(count)
    ]  # fmt: skip


def said(engine: Engine, asked: Sequence[Continuation], *, seed: int, leavers: Sequence[int] = ()) -> dict[int, Any]:
    """What each is told, joining at random times; leavers go after their third token and are left out."""
    chance, waiting = random.Random(seed), list(enumerate(asked))  # noqa: S311
    chance.shuffle(waiting)
    live: dict[int, int] = {}
    told: dict[int, list[int]] = {}
    while waiting or live:
        while waiting and len(live) < engine.slots and chance.random() < 0.5:
            at, continuation = waiting.pop()
            live[engine.join(continuation)] = at
            told[at] = []
        for step in engine.step():
            at = live[step.slot]
            told[at] += [] if step.token is None else [step.token]
            if not step.finished and at in leavers and len(told[at]) == 3:
                engine.leave(step.slot)
            if step.finished or (at in leavers and len(told[at]) == 3):
                del live[step.slot]
    return {at: tokens for at, tokens in told.items() if at not in leavers}


@pytest.mark.parametrize("changes", [{}, {"qk_norm": False, "tied_embeddings": False}], ids=["qwen3", "llama"])
def test_it_says_what_the_torch_engine_says(tmp_path: Path, changes: dict[str, Any]) -> None:
    source, asked = made.source(tmp_path / "model", **changes), questions(18)
    torch, llama = TorchEngine(source.decoder, slots=1), LlamaCppEngine(tmp_path / "model", slots=4, threads=1)
    alone = {at: said(torch, [one], seed=0)[0] for at, one in enumerate(asked)}
    assert said(llama, asked, seed=1) == alone
    leavers = (1, 5, 6, 11, 16)
    assert said(llama, asked, seed=2, leavers=leavers) == {at: alone[at] for at in alone if at not in leavers}
    llama.close()


def test_its_slots_are_bounded_and_come_back(tmp_path: Path) -> None:
    made.folder(tmp_path / "model")
    engine = LlamaCppEngine(tmp_path / "model", slots=2, threads=1)
    assert (engine.name, engine.context, engine.slots, engine.step()) == ("llama.cpp", 128, 2, [])
    short = Continuation(prompt=(5, 6), decoding=GREEDY, seed=0)
    slots = [engine.join(short), engine.join(short)]
    with pytest.raises(ValueError, match="slots are taken"):
        engine.join(short)
    engine.leave(slots[0])
    assert engine.join(short) == slots[0]
    for slot in slots:
        engine.leave(slot)
    with pytest.raises(ValueError, match="more than the context of 128"):
        engine.join(Continuation(prompt=(5,) * 99, decoding=GREEDY, seed=0))
    whole = Continuation(prompt=(5,) * 98, decoding=GREEDY, seed=0)
    assert len(said(engine, [whole], seed=0)[0]) == 30  # the last token that the context holds
    engine.close()
    engine.close()


def test_a_long_prompt_is_read_in_several_calls(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model", context=600)
    asked = [Continuation(prompt=tuple(4 + at % 400 for at in range(560)), decoding=GREEDY, seed=0)]
    engine = LlamaCppEngine(tmp_path / "model", slots=1, threads=1)
    assert said(engine, asked, seed=0) == said(TorchEngine(source.decoder, slots=1), asked, seed=0)
    engine.close()


def test_what_it_cannot_take_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder"):
        LlamaCppEngine(tmp_path, slots=1)
    made.folder(tmp_path / "model", kind="wordpiece")
    with pytest.raises(UserError, match=r"llama.cpp knows no tokenizer of this kind"):
        LlamaCppEngine(tmp_path / "model", slots=1)
    with pytest.raises(UserError, match="slots=0 is not allowed"):
        LlamaCppEngine(tmp_path / "model", slots=0)
