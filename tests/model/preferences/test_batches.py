"""Batches of examples: whole, each once an epoch, weighted, with replay beside them."""

from __future__ import annotations

import itertools

import pytest
import torch

from model.batches import Batch, PackedBatches
from model.documents import read_documents
from model.preferences.batches import Examples, PreferenceBatches, Replay
from model.preferences.judged import Judged, judged_answers, judged_pairs
from tests.model import small
from tests.model.preferences import talks


def made(judged: Judged, **more: object) -> PreferenceBatches:
    return talks.batches(judged, talks.reference(small.decoder(awake=True), judged), **more)  # type: ignore[arg-type]


def parts(batch: Batch) -> list[Examples]:
    return [part for part in batch.split(2) if isinstance(part, Examples)]


def answers(part: Examples) -> list[tuple[int, ...]]:
    """The answers of a micro-batch, as they stand in its rows."""
    targets = part.targets[part.targets >= 0].split(list(part.lengths))
    return [tuple(one.tolist()) for one in targets]


def test_an_epoch_has_each_pair_once_and_whole() -> None:
    judged, told = talks.pairs(30), talks.talks(30)
    batches = made(judged)
    steps = int(batches.steps_of_epoch())
    seen = []
    for step in range(steps):
        for part in parts(batches.batch(step)):
            assert part.inputs.shape == (2, talks.CONTEXT)
            there = answers(part)
            seen += [(there[first], there[second]) for first, second in part.places.tolist()]
    expected = [tuple(tuple(answer.answer) for answer in pair) for pair in told]
    assert set(seen) <= set(expected)
    assert len(seen) == len(set(seen))
    assert len(seen) >= len(told) - 8  # the last step reaches into the next epoch
    assert batches.epochs_at(0) == 0
    assert batches.epochs_at(steps) == pytest.approx(steps / batches.steps_of_epoch())


def test_rows_are_well_filled_and_another_epoch_has_another_order() -> None:
    batches = made(talks.pairs(60))
    steps = int(batches.steps_of_epoch())
    filled = sum(batches.batch(step).token_count() for step in range(steps)) / (steps * 4 * talks.CONTEXT)
    assert filled > 0.8
    assert not torch.equal(batches.batch(0).inputs, batches.batch(steps + 1).inputs)
    assert torch.equal(batches.batch(3).inputs, made(talks.pairs(60)).batch(3).inputs)


def test_the_reference_stands_where_its_targets_do() -> None:
    model, judged = small.decoder(awake=True), talks.pairs(10)
    batches = talks.batches(judged, talks.reference(model, judged))
    by_answer = {
        tuple(judged.documents.document(d)[judged.documents.targets(d) >= 0].tolist()): talks.alone(model, judged, d)
        for d in range(20)
    }
    for part in parts(batches.batch(0)):
        for answer, own in zip(answers(part), part.reference.split(list(part.lengths)), strict=True):
            torch.testing.assert_close(own, by_answer[answer].detach(), rtol=0, atol=1e-5)


def test_a_ranking_of_four_counts_as_one_judgement() -> None:
    ranked = [talks.talk([1, 2], [number]) for number in (3, 4, 5, 6)]
    six = list(itertools.combinations(ranked, 2))
    alone = (talks.talk([9], [3]), talks.talk([9], [4]))
    chosen, rejected = zip(*six, alone, strict=True)
    judged = judged_pairs(chosen, rejected, weights=[1 / 6] * 6 + [1.0], end_id=0)
    assert judged.weights[:6].sum() == pytest.approx(judged.weights[6])
    assert judged.weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_share_of_replay(tmp_path: object, share: float) -> None:
    tokens = small.write_tokens(tmp_path)  # type: ignore[arg-type]
    rows = PackedBatches(
        read_documents(tokens, "train"), context=talks.CONTEXT, rows=1, packing="whole", isolate=True, seed=1
    )
    batches = made(talks.pairs(60), replay=Replay(source=rows, share=share, weight=0.5))
    text, whole = 0, 0
    for step in range(40):
        batch = batches.batch(step)
        replayed = [part for part in batch.split(2) if not isinstance(part, Examples)]
        text += sum(part.token_count() for part in replayed)
        whole += batch.token_count()
        taught = sum(part.target_count() for part in replayed)
        for part in replayed:
            assert part.counts is not None
            assert part.rows <= 2
            assert float(part.counts[0, 0]) == pytest.approx(0.5 * batch.target_count() / taught)
    assert text / whole == pytest.approx(share, abs=0.03)


def test_after_each_prompt_another_ones_answer() -> None:
    judged = talks.thumbs(8)
    assert judged.unrelated is not None
    known = {tuple(one.answer): one.prompt for pair in talks.talks(8) for one in pair}
    for (own,), unrelated in zip(judged.members.tolist(), judged.unrelated.tolist(), strict=True):
        marks = judged.documents.targets(unrelated) >= 0
        ids = judged.documents.document(unrelated)
        prompt = judged.documents.document(own)[judged.documents.targets(own) < 0]
        assert ids[~marks].tolist() == prompt.tolist()
        assert known[tuple(ids[marks].tolist())] != prompt.tolist()


def test_the_unrelated_answers_of_a_step_are_those_of_its_examples() -> None:
    batch = made(talks.thumbs(12)).batch(0)
    first, *others = parts(batch)
    assert sum(len(rows.lengths) for rows in first.unrelated) == sum(len(part.weights) for part in (first, *others))
    assert not any(part.unrelated for part in others)


def test_one_prompt_has_nothing_unrelated() -> None:
    same = [talks.talk([1], [2]), talks.talk([1], [3])]
    with pytest.raises(ValueError, match="2 judged answers to one prompt: the loss kto needs two prompts or more"):
        judged_answers(same, desirable=[True, False], weights=[1.0, 1.0], end_id=0, context=32, seed=1)


def test_an_unrelated_answer_is_cut_at_the_context() -> None:
    long = [talks.talk([1] * 20, [2] * 11), talks.talk([3], [4] * 30)]
    judged = judged_answers(long, desirable=[True, False], weights=[1.0, 1.0], end_id=0, context=32, seed=1)
    lengths = judged.documents.offsets[1:] - judged.documents.offsets[:-1]
    assert lengths.tolist() == [32, 32, 32, 13]


def test_a_pair_that_fits_no_micro_batch_is_one_line() -> None:
    judged = judged_pairs([talks.talk([1], [2] * 25)], [talks.talk([1], [3] * 20)], weights=[1.0], end_id=0)
    with pytest.raises(ValueError, match=r"answers of 27 and 22 tokens do not fit 1 row\(s\) of 32: raise micro_batch"):
        made(judged, micro_rows=1).batch(0)
    assert made(judged).batch(0).target_count() == 4 // 2 * (26 + 21)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, float("nan")], [1.0, -1.0]])
def test_weights_that_cannot_be(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="2 weights: there must be one, and each be above 0"):
        talks.pairs(2, weights=weights)


def test_a_batch_moves_with_all_it_holds() -> None:
    part = parts(made(talks.thumbs(6)).batch(0))[0].to(torch.device("meta"))
    tensors = [part.inputs, part.reference, part.places, part.weights, part.desirable, part.unrelated[0].reference]
    assert {tensor.device.type for tensor in tensors if tensor is not None} == {"meta"}
