"""Batches: their order from (seed, epoch) alone, their packing, and that packing changes no loss."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import (
    IGNORE,
    PackedBatches,
    Packing,
    epoch_order,
    lay_out,
    pack_stream,
    pack_whole,
    read_documents,
)
from model.training import next_token_loss
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


def test_files_that_do_not_fit_each_other_are_one_clear_line(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path)
    with pytest.raises(ValueError, match="no split 'dev'; there are train, validation"):
        read_documents(tokens, "dev")
    np.save(tokens / "train.weights.npy", np.ones(3, dtype=np.float32))
    with pytest.raises(ValueError, match="200 documents, 3 weights, 200 sizes"):
        read_documents(tokens, "train")
    (tokens / "meta.json").unlink()
    with pytest.raises(ValueError, match=r"meta.json cannot be read: No such file"):
        read_documents(tokens, "train")
