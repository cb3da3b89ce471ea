"""Bits: computed by hand, and the same however documents lie in rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.documents import read_documents
from model.scoring import bits_per_byte, continuation_bits, document_bits, token_bits
from tests.model import small


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


@pytest.mark.parametrize("batch", [1, 2, 32])
@pytest.mark.parametrize("changes", [{}, {"positions": "learned", "n_kv_heads": 4}], ids=str)
def test_continuations_cost_what_they_cost_in_the_whole_text(batch: int, changes: dict[str, Any]) -> None:
    model = small.decoder(awake=True, **changes)
    prompts = [[5, 9, 3], [], list(range(1, 28)), [7], [8]]
    candidates = [[[4], [4, 5, 6], []], [[2, 2]], [[9], [1, 2, 3, 4, 0]], [], [[6, 0], [4], [3, 1, 2]]]
    scored = continuation_bits(model, prompts, candidates, batch=batch)
    assert [len(row) for row in scored] == [3, 1, 2, 0, 3]
    for prompt, ids, bits in zip(prompts, candidates, scored, strict=True):
        for candidate, found in zip(ids, bits, strict=True):
            whole = token_bits(model, [[*prompt, *candidate]])[0]
            np.testing.assert_allclose(found, whole[len(prompt) :], rtol=1e-4, atol=1e-4)


def test_long_continuations_are_scored_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small.decoder(awake=True)
    candidates = [[[token] * length for token, length in ((1, 1), (2, 9), (3, 4), (4, 9), (5, 9))]]
    at_once = continuation_bits(model, [[7, 8]], candidates)
    monkeypatch.setattr("model.scoring.ROW_TOKENS", 10)
    for some, all_ in zip(continuation_bits(model, [[7, 8]], candidates)[0], at_once[0], strict=True):
        np.testing.assert_allclose(some, all_, rtol=1e-4, atol=1e-4)


def test_a_continuation_past_the_context_is_one_clear_line() -> None:
    model = small.decoder()
    line = "prompt 1 of 30 tokens and its continuation of 3 are more than the context of 32"
    with pytest.raises(ValueError, match=line):
        continuation_bits(model, [[1], [2] * 30], [[[3]], [[4], [5, 6, 7]]])
    with pytest.raises(ValueError, match="1 prompts need as many lists of continuations, not 2"):
        continuation_bits(model, [[1]], [[[3]], [[4]]])
