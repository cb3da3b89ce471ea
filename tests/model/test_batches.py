"""Batches: their order from (seed, epoch) alone, their packing, and that packing changes no loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import Batch, PackedBatches, Packing, epoch_order, lay_out, pack_stream, pack_whole
from model.blend import balanced
from model.decoder import Decoder
from model.documents import IGNORE, Documents, read_documents
from model.training import answer_loss, next_token_loss
from tests.model import small


def batches(tokens: Path, *, packing: Packing = "whole", seed: int = 3, rows: int = 4) -> PackedBatches:
    documents = read_documents(tokens, "train")
    return PackedBatches(documents, context=32, rows=rows, packing=packing, isolate=True, seed=seed)


@pytest.mark.parametrize("packing", ["whole", "stream"])
def test_a_batch_does_not_depend_on_those_before_it(tmp_path: Path, packing: Packing) -> None:
    tokens = small.write_tokens(tmp_path)
    straight = batches(tokens, packing=packing)
    in_order = [straight.batch(index) for index in range(120)]  # two epochs and more
    for index in (119, 3, 60):
        fresh = batches(tokens, packing=packing).batch(index)
        assert torch.equal(fresh.inputs, in_order[index].inputs)
        assert torch.equal(fresh.targets, in_order[index].targets)
    other = batches(tokens, packing=packing, seed=4).batch(0)
    assert not torch.equal(other.inputs, in_order[0].inputs)


def test_an_epoch_holds_each_document_as_often_as_its_weight_says() -> None:
    weights = np.array([1.0, 0.0, 2.0, 0.25, 1.5], dtype=np.float32)
    counts = [Counter(epoch_order(weights, seed=1, epoch=epoch).tolist()) for epoch in range(400)]
    for seen in counts:
        assert seen[0] == 1
        assert seen[1] == 0
        assert seen[2] == 2
        assert seen[3] in (0, 1)
        assert seen[4] in (1, 2)
    assert np.mean([seen[3] for seen in counts]) == pytest.approx(0.25, abs=0.07)
    assert np.mean([seen[4] for seen in counts]) == pytest.approx(1.5, abs=0.08)


@pytest.mark.parametrize("pack", [pack_whole, pack_stream])
def test_an_epoch_teaches_every_token_once(tmp_path: Path, pack: object) -> None:
    documents = read_documents(small.write_tokens(tmp_path), "train")
    order = epoch_order(documents.weights, seed=0, epoch=0)
    pieces = pack(order, np.diff(documents.offsets), context=32)  # type: ignore[operator]
    batch = lay_out(pieces, range(pieces.rows), documents, context=32, isolate=True)
    taught = batch.targets[batch.targets != IGNORE]
    assert Counter(taught.tolist()) == Counter(documents.tokens.tolist())
    for piece in range(len(pieces.document)):
        whole = np.diff(documents.offsets)[pieces.document[piece]]
        if pack is pack_whole and whole <= 32:
            assert pieces.length[piece] == whole


def test_packed_losses_equal_unpacked_ones(tmp_path: Path) -> None:
    documents = read_documents(small.write_tokens(tmp_path), "train")
    order = np.flatnonzero(np.diff(documents.offsets) <= 32)[:12]
    model = small.decoder(awake=True)
    pieces = pack_whole(order, np.diff(documents.offsets), context=32)
    packed = lay_out(pieces, range(pieces.rows), documents, context=32, isolate=True)
    assert pieces.rows < len(order)
    alone = 0.0
    for index in order:
        ids = torch.from_numpy(np.append(0, documents.document(index)))
        logits = model(ids[None, :-1])[0]
        alone += float(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum").detach())
    assert float(next_token_loss(model, packed).detach()) == pytest.approx(alone, rel=1e-5)


def conversations(*lengths: tuple[int, int], seed: int = 0) -> Documents:
    """Conversations of (prompt, answer) tokens; an answer ends in 2, and the 0 after it ends the document."""
    rng = np.random.default_rng(seed)
    told = [[*rng.integers(3, 61, before + answer - 1).tolist(), 2, 0] for before, answer in lengths]
    taught = [[*[False] * before, *[True] * answer, False] for before, answer in lengths]
    offsets = np.cumsum([0, *map(len, told)])
    return Documents(
        tokens=np.array([token for ids in told for token in ids], dtype=np.uint16),
        offsets=offsets,
        weights=np.ones(len(told), dtype=np.float32),
        bytes=np.diff(offsets),
        end_id=0,
        taught=np.array([flag for flags in taught for flag in flags], dtype=np.bool_),
        tasks=np.zeros(len(told), dtype=np.int16),
    )


MIXED = ((5, 3), (9, 1), (2, 12), (20, 6), (4, 4), (7, 2), (3, 9), (25, 5))
LONG = ((40, 3), (10, 40), (31, 1), (30, 2), (3, 3))  # cut at 32: in the prompt, in the answer, before and at its end


def packed(documents: Documents, *, whole: bool = True) -> Batch:
    """All documents in rows of 32."""
    pack = pack_whole if whole else pack_stream
    pieces = pack(np.arange(len(documents)), np.diff(documents.offsets), context=32)
    return lay_out(pieces, range(pieces.rows), documents, context=32, isolate=True)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
@pytest.mark.parametrize("lengths", [MIXED, LONG], ids=["packed", "truncated"])
def test_all_of_every_answer_is_a_target_its_end_included_and_nothing_else(
    lengths: tuple[tuple[int, int], ...], whole: bool
) -> None:
    documents = conversations(*lengths)
    batch = packed(documents, whole=whole)
    assert documents.taught is not None
    wanted = Counter(documents.tokens[documents.taught].tolist())
    assert Counter(batch.targets[batch.targets != IGNORE].tolist()) == wanted
    assert wanted[2] == len(lengths)  # the end of each answer
    assert wanted[0] == 0  # what stands after it is not learnt
    assert batch.target_count() == sum(answer for _, answer in lengths)


def test_of_a_conversation_that_is_cut_each_piece_teaches_its_own_tokens() -> None:
    documents = conversations((10, 40))  # 51 tokens: 32, then 19
    batch = packed(documents)
    ids = documents.document(0)
    assert batch.rows == 2
    assert batch.targets[0].tolist() == [IGNORE] * 10 + ids[10:32].tolist()
    assert batch.targets[1].tolist() == ids[32:50].tolist() + [IGNORE] * 14
    assert int(batch.targets[1, 17]) == 2
    assert batch.inputs[1, :19].tolist() == ids[31:50].tolist()  # the piece goes on where the first one ended
    assert batch.positions is not None
    assert batch.positions[1, :19].tolist() == list(range(19))


def alone(model: Decoder, documents: Documents, index: int, *, balance: float) -> float:
    """The loss of one conversation by itself, in nats, by torch's cross entropy, times length^-balance."""
    ids = torch.from_numpy(np.append(0, documents.document(index)))
    targets = torch.from_numpy(documents.targets(index))
    logits = model(ids[None, :-1])[0]
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
    return float(loss.detach()) * int((targets != IGNORE).sum()) ** -balance


@pytest.mark.parametrize("positions", ["rope", "learned"])  # only the learned ones know where a row begins
@pytest.mark.parametrize("balance", [0.0, 0.7, 1.0])
def test_the_answer_loss_of_a_packed_batch_is_that_of_its_conversations(balance: float, positions: str) -> None:
    documents, model = conversations(*MIXED), small.decoder(awake=True, positions=positions)
    batch = balanced(packed(documents), balance=balance)
    assert batch.rows < len(documents)
    answers = np.array([answer for _, answer in MIXED], dtype=np.float64)
    scale = answers.sum() / (answers ** (1 - balance)).sum()  # the counts together are as many as the targets
    expected = scale * sum(alone(model, documents, index, balance=balance) for index in range(len(documents)))
    assert float(answer_loss(model, batch).detach()) == pytest.approx(expected, rel=1e-5)
    parts = [float(answer_loss(model, part).detach()) for part in batch.split(1)]
    assert sum(parts) == pytest.approx(expected, rel=1e-5)


def test_another_neighbour_changes_nothing_for_a_conversation() -> None:
    model, own = small.decoder(awake=True), conversations(*MIXED)
    tokens = own.tokens.copy()
    changed = own.offsets[2], own.offsets[3]
    tokens[changed[0] : changed[1] - 2] = (tokens[changed[0] : changed[1] - 2] + 7) % 58 + 3
    other = replace(own, tokens=tokens)
    one, two = packed(own), packed(other)
    assert not torch.equal(one.inputs, two.inputs)
    losses = [
        torch.nn.functional.cross_entropy(
            model.logits(model.hidden(b.inputs, positions=b.positions, documents=b.documents)).flatten(0, 1),
            b.targets.flatten(),
            ignore_index=IGNORE,
            reduction="none",
        ).view_as(b.targets)
        for b in (one, two)
    ]
    same = (one.inputs == two.inputs) & (one.targets == two.targets)
    assert one.documents is not None
    rows = (~same).any(dim=1)
    touched = {(row, int(one.documents[row, at])) for row, at in (~same).nonzero().tolist()}
    assert len(touched) == 1
    ((row, piece),) = touched
    neighbours = one.documents[row] != piece
    assert torch.equal(losses[0][row][neighbours], losses[1][row][neighbours])
    assert bool((one.targets[row][neighbours] != IGNORE).any())
    assert not torch.allclose(losses[0][row][~neighbours], losses[1][row][~neighbours])
    assert torch.equal(losses[0][~rows], losses[1][~rows])
