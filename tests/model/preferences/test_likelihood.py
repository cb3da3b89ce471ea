"""Log-probabilities of answers: of the answer alone, its end with it, and the same packed as alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.preferences import likelihood
from model.preferences.likelihood import answer_lengths, answer_sums, document_log_probs, token_log_probs
from tests.model import small
from tests.model.preferences import talks


def test_packed_as_alone() -> None:
    model, judged = small.decoder(awake=True), talks.pairs(40)
    everything = range(len(judged.documents))
    found = document_log_probs(model, judged.documents, everything)
    expected = torch.cat([talks.alone(model, judged, document) for document in everything]).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    chosen = [7, 3, 3, 12]
    some = document_log_probs(model, judged.documents, chosen)
    expected = torch.cat([talks.alone(model, judged, document) for document in chosen]).detach()
    torch.testing.assert_close(some, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [{"positions": "learned"}, {"positions": "sinusoidal"}, {"tied_embeddings": False}])
def test_packed_as_alone_in_other_shapes(shape: dict[str, object]) -> None:
    model, judged = small.decoder(awake=True, **shape), talks.pairs(6)
    found = document_log_probs(model, judged.documents, range(12))
    expected = torch.cat([talks.alone(model, judged, document) for document in range(12)]).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_of_the_answer_alone_with_its_end() -> None:
    judged = talks.pairs(5)
    for pair, (first, second) in zip(talks.talks(5), judged.members.tolist(), strict=True):
        for conversation, document in zip(pair, (first, second), strict=True):
            targets = judged.documents.targets(document)
            taught = targets[targets >= 0].tolist()
            assert taught == conversation.answer
            assert taught[-1] == talks.END_OF_TURN
            assert answer_lengths(judged.documents)[document] == len(taught)


def test_neighbours_do_not_matter() -> None:
    model, judged = small.decoder(awake=True), talks.pairs(10)
    before = talks.reference(model, judged)
    tokens = judged.documents.tokens.copy()
    first, last = judged.documents.offsets[3], judged.documents.offsets[4]
    tokens[first:last] = 1 + tokens[first:last] % 59
    other = replace(judged, documents=replace(judged.documents, tokens=tokens))
    after = talks.reference(model, other)
    others = [document for document in range(20) if document != 3]
    torch.testing.assert_close(before.gather(others), after.gather(others), rtol=0, atol=1e-6)
    assert not torch.allclose(before.gather([3]), after.gather([3]))


def test_token_log_probs_and_their_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "LOSS_ROWS", 3)  # several portions
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(8, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(11, (8,), generator=generator)
    own = token_log_probs(hidden, weight, targets)
    plain = (hidden @ weight.t()).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(own, plain)
    assert torch.autograd.gradcheck(lambda h, w: token_log_probs(h, w, targets), (hidden, weight))
    frozen = token_log_probs(hidden, weight.detach(), targets).sum()
    frozen.backward()  # type: ignore[no-untyped-call]
    assert hidden.grad is not None
    half = token_log_probs(hidden.detach().bfloat16(), weight.detach().float(), targets)
    assert half.dtype == torch.float32  # a sum over an answer needs the digits


def test_sums_are_of_the_answers() -> None:
    assert answer_sums(torch.arange(6.0), [1, 3, 2]).tolist() == [0.0, 6.0, 9.0]


def test_what_is_longer_than_the_context_is_refused() -> None:
    model = small.decoder(context=8)
    with pytest.raises(ValueError, match=r"document \d+ of \d+ tokens is above the context of 8"):
        document_log_probs(model, talks.pairs(3).documents, range(6))


def test_figures_of_another_table_are_refused() -> None:
    model, judged = small.decoder(), talks.pairs(3)
    known = talks.reference(model, judged)
    with pytest.raises(ValueError, match=r"\d+ log-probabilities for \d+ targets: made of another table"):
        type(known).of(talks.pairs(4).documents, known.log_probs)
    assert np.all(np.diff(known.starts) > 0)
