"""Bits: computed by hand, and the same however documents lie in rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import read_documents
from model.generation import Decoding, generate
from model.scoring import bits_per_byte, document_bits, token_bits
from tests.model import small

GREEDY = Decoding(max_tokens=50, temperature=0.0, top_p=1.0, top_k=0, repetition_penalty=1.0)


def by_hand(model: object, ids: list[int]) -> list[float]:
    """-log2 p of each token after an end token, one forward pass a token."""
    costs = []
    for at in range(len(ids)):
        logits = model(torch.tensor([[0, *ids[:at]]]))[0, -1].double()  # type: ignore[operator]
        costs.append(float(-torch.log_softmax(logits, -1)[ids[at]] / np.log(2)))
    return costs


@torch.no_grad()
def test_token_bits_are_those_computed_by_hand() -> None:
    model = small.decoder(awake=True)
    documents = [[5, 9, 0], [7], [], [*range(1, 31), 0], [3, 3, 3, 0]]
    for ids, bits in zip(documents, token_bits(model, documents), strict=True):
        np.testing.assert_allclose(bits, by_hand(model, ids), rtol=1e-4)


@torch.no_grad()
def test_a_document_longer_than_the_context_has_at_least_half_of_it_before_each_token() -> None:
    model = small.decoder(awake=True)
    ids = np.random.default_rng(0).integers(1, 61, 90).tolist()
    expected = []
    for start, first in ((0, 0), (16, 16), (32, 16), (48, 16), (64, 16)):
        window = [0, *ids][start : start + 32]
        logits = torch.log_softmax(model(torch.tensor([window]))[0].double(), -1)
        expected += [float(-logits[t, ids[start + t]] / np.log(2)) for t in range(first, len(window)) if start + t < 90]
    np.testing.assert_allclose(token_bits(model, [ids])[0], expected, rtol=1e-4)


def test_bits_per_byte_of_an_untrained_model_is_that_of_guessing(tmp_path: Path) -> None:
    validation = read_documents(small.write_tokens(tmp_path), "validation")
    figure = bits_per_byte(small.decoder(), validation)
    assert figure == pytest.approx(np.log2(61) / 3, rel=0.01)  # three bytes a token in these files
    first = [validation.document(index) for index in range(5)]
    expected = document_bits(small.decoder(), first).sum() / validation.bytes[:5].sum()
    assert bits_per_byte(small.decoder(), validation, limit=5) == pytest.approx(expected)


@torch.no_grad()
def test_greedy_generation_follows_the_logits_past_the_context_too() -> None:
    model = small.decoder(awake=True)
    prompts = [[4, 5, 6], [7], list(range(1, 20))]
    together = generate(model, prompts, decoding=GREEDY, seeds=[0, 0, 0])
    for prompt, new in zip(prompts, together, strict=True):
        row = [0, *prompt]
        for token in new[: 32 - len(row)]:
            assert int(model(torch.tensor([row]))[0, -1].argmax()) == token
            row.append(token)
    assert max(len(new) for new in together) > 32 or any(len(new) < 50 for new in together)


def test_each_prompt_has_its_own_randomness() -> None:
    model = small.decoder(awake=True)
    decoding = Decoding(max_tokens=12, temperature=1.0, top_p=0.9, top_k=20, repetition_penalty=1.1)
    pair = generate(model, [[4], [9]], decoding=decoding, seeds=[1, 2])
    swapped = generate(model, [[9], [4]], decoding=decoding, seeds=[2, 1])
    assert pair == swapped[::-1]
    assert generate(model, [[4]], decoding=decoding, seeds=[1])[0] == pair[0]
    assert generate(model, [[4]], decoding=decoding, seeds=[5])[0] != pair[0]


def test_impossible_decoding_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"top_p=1\.5 above 0 and at most 1"):
        Decoding(max_tokens=1, temperature=0.0, top_p=1.5, top_k=0, repetition_penalty=1.0)
