"""Generation: what a prompt gives is its own affair, whatever is beside it in the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from model.decoder import Decoder
from model.generation import Decoding, draw, generate
from tests.model import small

GREEDY = Decoding(max_tokens=50, temperature=0.0)
DRAWN = Decoding(max_tokens=12, temperature=1.0, top_p=0.9, top_k=20, repetition_penalty=1.1)
PROMPTS = [[4, 5, 6], [7], list(range(1, 20)), [], [9] * 31, [3] * 40, [8, 2], [11, 12], [13], [50, 40, 30]]


def one_by_one(model: Decoder, prompts: list[list[int]], **arguments: Any) -> list[list[int]]:
    seeds = arguments.pop("seeds")
    return [generate(model, [ids], seeds=[seed], **arguments)[0] for ids, seed in zip(prompts, seeds, strict=True)]


@torch.no_grad()
def test_greedy_generation_follows_the_logits_past_the_context_too() -> None:
    model = small.decoder(awake=True)
    for prompt, new in zip(PROMPTS, generate(model, PROMPTS, decoding=GREEDY, seeds=[0] * 10), strict=True):
        window = [0, *prompt]
        for token in new:
            window = window if len(window) <= 32 else window[-16:]
            assert int(model(torch.tensor([window]))[0, -1].argmax()) == token
            window.append(token)
        assert new


@pytest.mark.parametrize(
    ("decoding", "changes", "batch"),
    [
        (GREEDY, {}, 32),
        (GREEDY, {"positions": "learned"}, 3),
        (DRAWN, {"n_kv_heads": 4, "qk_norm": False}, 32),
        (replace(DRAWN, max_tokens=40, top_p=1.0, top_k=0), {}, 4),
        (replace(GREEDY, repetition_penalty=1.3), {}, 32),
    ],
    ids=["greedy", "greedy, other shape", "drawn", "uncut", "penalised"],
)
def test_a_text_is_the_same_alone_and_in_a_batch(decoding: Decoding, changes: dict[str, Any], batch: int) -> None:
    model = small.decoder(awake=True, **changes)
    arguments: dict[str, Any] = {"decoding": decoding, "seeds": list(range(10)), "stop": {17, 23, 31, 44}}
    together = generate(model, PROMPTS, batch=batch, **arguments)
    assert together == one_by_one(model, PROMPTS, **arguments)
    assert len({len(new) for new in together}) > 2  # rows have left the batch at different times


def test_each_prompt_has_its_own_randomness() -> None:
    model = small.decoder(awake=True)
    pair = generate(model, [[4], [9]], decoding=DRAWN, seeds=[1, 2])
    swapped = generate(model, [[9], [4]], decoding=DRAWN, seeds=[2, 1])
    assert pair == swapped[::-1]
    assert generate(model, [[4]], decoding=DRAWN, seeds=[1])[0] == pair[0]
    assert generate(model, [[4]], decoding=DRAWN, seeds=[5])[0] != pair[0]


def test_a_longer_limit_only_adds_to_a_text() -> None:
    model = small.decoder(awake=True)
    short = generate(model, PROMPTS, decoding=DRAWN, seeds=list(range(10)))
    for ids, more in zip(
        short, generate(model, PROMPTS, decoding=replace(DRAWN, max_tokens=40), seeds=list(range(10))), strict=True
    ):
        assert more[: len(ids)] == ids


def test_stop_ids_end_a_text_and_are_not_returned() -> None:
    model = small.decoder(awake=True)
    free = generate(model, PROMPTS, decoding=GREEDY, seeds=[0] * 10)
    stop = {free[0][3], free[1][5]}
    stopped = generate(model, PROMPTS, decoding=GREEDY, seeds=[0] * 10, stop=stop)
    for ids, cut in zip(free, stopped, strict=True):
        expected = next((at for at, token in enumerate(ids) if token in stop), len(ids))
        assert cut == ids[:expected]


def test_the_end_token_ends_a_text() -> None:
    model = small.decoder()
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()  # all tokens alike: the first of them, the end token, is taken
    assert generate(model, [[4], [5, 6]], decoding=GREEDY, seeds=[0, 1]) == [[], []]


def test_generation_spends_nothing_on_finished_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small.decoder(awake=True)
    sizes = []
    step = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, ids, cache: sizes.append(len(ids)) or step(self, ids, cache))
    new = generate(model, PROMPTS, decoding=replace(DRAWN, max_tokens=60), seeds=list(range(10)), stop=range(20))
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) < sum(len(ids) + 1 for ids in new) / 0.7
    assert generate(model, [], decoding=GREEDY, seeds=[]) == []


def test_draws_follow_the_cut_and_sharpened_probabilities() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    chances = (torch.arange(1000, dtype=torch.float64)[:, None] + 0.5) / 1000

    def shares(**changes: Any) -> list[float]:
        decoding = replace(Decoding(max_tokens=1, temperature=1.0), **changes)
        seen = torch.tensor([[True, False, False, False]]).expand(1000, 4)
        drawn = draw(logits.expand(1000, 4), decoding, chances=chances, seen=seen)
        return [round(float((drawn == token).float().mean()), 2) for token in range(4)]

    assert shares() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.011)
    assert shares(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.011)
    assert shares(top_p=0.5) == [1, 0, 0, 0]
    assert shares(top_p=0.51) == pytest.approx([0.625, 0.375, 0, 0], abs=0.011)
    assert shares(top_p=0.81) == pytest.approx([0.526, 0.316, 0.158, 0], abs=0.011)
    assert shares(temperature=0.5) == pytest.approx([0.685, 0.247, 0.062, 0.007], abs=0.011)
    assert shares(repetition_penalty=1e6) == pytest.approx([0, 0.6, 0.3, 0.1], abs=0.011)


def test_a_wide_nucleus_is_found_beyond_the_head() -> None:
    logits = torch.zeros(2, 500)
    logits[1, :3] = 20.0
    decoding = Decoding(max_tokens=1, temperature=1.0, top_p=0.9)
    logits[0] = torch.linspace(0, 0.1, 500)
    picks = [
        draw(logits, decoding, chances=torch.full((2, 1), c, dtype=torch.float64), seen=None) for c in (0.0, 0.999)
    ]
    assert [pick.tolist() for pick in picks] == [[52, 0], [499, 2]]  # the least probable tenth, the first, is cut


def test_impossible_decoding_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"top_p=1\.5 above 0 and at most 1"):
        Decoding(max_tokens=1, temperature=0.0, top_p=1.5)
    with pytest.raises(ValueError, match="2 prompts need as many seeds, not 1"):
        generate(small.decoder(), [[1], [2]], decoding=GREEDY, seeds=[1])
    with pytest.raises(ValueError, match="batch=0 is below 1"):
        generate(small.decoder(), [[1]], decoding=GREEDY, seeds=[1], batch=0)
