"""How often tasks and pretraining text are seen, by hand-computed weights; and how much a token of an answer counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.batches import Batch
from model.blend import BalancedBatches, balanced, expected_tokens, task_weights, with_replay
from model.documents import IGNORE, Documents


def documents(lengths: list[int], *, tasks: list[int] | None = None, taught: bool = False) -> Documents:
    """Documents of these lengths; taught: the last two tokens of each alone."""
    offsets = np.cumsum([0, *lengths])
    flags = np.zeros(offsets[-1], dtype=np.bool_)
    flags[np.concatenate([offsets[1:] - 2, offsets[1:] - 1])] = True
    return Documents(
        tokens=np.arange(offsets[-1], dtype=np.uint16),
        offsets=offsets,
        weights=np.ones(len(lengths), dtype=np.float32),
        bytes=np.array(lengths) * 3,
        end_id=0,
        taught=flags if taught else None,
        tasks=None if tasks is None else np.array(tasks, dtype=np.int16),
    )


def by_task(weights: np.ndarray, tasks: list[int]) -> list[float]:
    """Conversations of each task in an epoch."""
    return np.bincount(tasks, weights=weights).tolist()


MANY = [0] * 81 + [1] * 16 + [2] * 1  # 98 conversations of three tasks


@pytest.mark.parametrize(
    ("temperature", "shares"),
    [
        (1.0, [81 / 98, 16 / 98, 1 / 98]),
        (2.0, [9 / 14, 4 / 14, 1 / 14]),  # square roots
        (4.0, [3 / 6, 2 / 6, 1 / 6]),
        (1e9, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_a_task_is_drawn_by_its_size_to_the_inverse_of_the_temperature(temperature: float, shares: list[float]) -> None:
    weights = task_weights(documents([3] * 98, tasks=MANY), temperature=temperature)
    assert by_task(weights, MANY) == pytest.approx([98 * share for share in shares], rel=1e-4)
    assert len({float(weight) for weight in weights[:81]}) == 1


def test_only_chosen_tasks_are_drawn_as_often_as_there_are_conversations_of_them() -> None:
    weights = task_weights(documents([3] * 98, tasks=MANY), temperature=2.0, chosen=[1, 2])
    assert by_task(weights, MANY) == pytest.approx([0.0, 17 * 4 / 5, 17 * 1 / 5])
    alone = task_weights(documents([3] * 98, tasks=MANY), temperature=2.0, chosen=[1])
    assert by_task(alone, MANY) == pytest.approx([0.0, 16.0, 0.0])
    assert set(alone.tolist()) == {0.0, 1.0}


def test_within_a_task_conversations_keep_the_proportions_of_their_own_weights() -> None:
    tasks = [0, 0, 0, 1]
    own = np.array([1.0, 1.0, 2.0, 1.0], dtype=np.float32)  # 4 of task 0 and 1 of task 1, 5 in an epoch
    weights = task_weights(replace(documents([3] * 4, tasks=tasks), weights=own), temperature=2.0)
    assert by_task(weights, tasks) == pytest.approx([5 * 2 / 3, 5 * 1 / 3])
    assert weights[2] == pytest.approx(2 * weights[0])


def test_a_task_that_is_not_there_or_no_task_at_all_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="no conversation is of a task that is trained"):
        task_weights(documents([3, 3], tasks=[0, 0]), temperature=1.0, chosen=[1])
    with pytest.raises(ValueError, match="the documents name no tasks: they are no mixture"):
        task_weights(documents([3, 3]), temperature=1.0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_replay_is_the_wanted_share_of_the_tokens(share: float) -> None:
    mixture = replace(documents([10, 30], tasks=[0, 1], taught=True), weights=np.array([2.0, 0.5], dtype=np.float32))
    text = replace(documents([7, 5, 8]), weights=np.array([1.0, 0.0, 3.0], dtype=np.float32))
    both = with_replay(mixture, text, share=share)
    tokens = np.diff(both.offsets) * both.weights
    assert tokens[2:].sum() / tokens.sum() == pytest.approx(share, rel=1e-5)
    assert both.weights[:2].tolist() == [2.0, 0.5]  # the mixture's own stay
    assert both.weights[3] == 0
    assert both.weights[4] == pytest.approx(3 * both.weights[2])
    assert expected_tokens(both) == pytest.approx(35 / (1 - share), rel=1e-5)


def test_of_a_conversation_the_answer_is_taught_and_of_replayed_text_all() -> None:
    mixture, text = documents([5, 4], tasks=[0, 0], taught=True), documents([3, 6])
    both = with_replay(mixture, text, share=0.5)
    for at in range(2):
        assert both.targets(at).tolist() == mixture.targets(at).tolist()
        assert (both.targets(at) == IGNORE).sum() == len(both.targets(at)) - 2
        assert both.targets(2 + at).tolist() == text.document(at).tolist()
    assert with_replay(mixture, text, share=0.0) is mixture


def test_a_share_that_cannot_be_and_text_that_is_not_there_are_one_clear_line() -> None:
    for share in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"a share of {share} is not allowed; allowed: from 0 to below 1"):
            with_replay(documents([3], tasks=[0]), documents([3]), share=share)
    with pytest.raises(ValueError, match="0 documents of pretraining text with 0 tokens: nothing to replay"):
        with_replay(documents([3], tasks=[0]), documents([]), share=0.5)


def rows() -> Batch:
    """Two rows: answers of 1 and 4 tokens with a document each, then one of 2 and padding."""
    no = IGNORE
    targets = torch.tensor([[no, 5, no, 7, 8, 9, 6], [no, no, 3, 4, no, no, no]])
    numbers = torch.tensor([[1, 1, 2, 2, 2, 2, 2], [1, 1, 1, 1, 0, 0, 0]], dtype=torch.int32)
    return Batch(torch.zeros_like(targets), targets, numbers, torch.zeros_like(targets))


@pytest.mark.parametrize("balance", [0.3, 0.7, 1.0])
def test_a_long_answers_tokens_count_less_and_all_together_as_much_as_there_are(balance: float) -> None:
    counts = balanced(rows(), balance=balance).counts
    assert counts is not None
    one, four, two = float(counts[0, 1]), counts[0, 3:7], counts[1, 2:4]
    assert four.tolist() == pytest.approx([one * 4**-balance] * 4)
    assert two.tolist() == pytest.approx([one * 2**-balance] * 2)
    assert float(counts.sum()) == pytest.approx(7)
    assert int((counts > 0).sum()) == 7
    if balance == 1.0:
        assert float(four.sum()) == pytest.approx(one)


def test_without_balance_every_token_counts_the_same() -> None:
    assert balanced(rows(), balance=0.0).counts is None
    nothing = replace(rows(), targets=torch.full((2, 7), IGNORE))
    assert balanced(nothing, balance=0.7).counts is None


def test_counts_are_those_of_the_whole_batch_however_it_is_cut() -> None:
    class Same:
        def batch(self, index: int) -> Batch:
            return rows()

    batch = BalancedBatches(Same(), 0.7).batch(3)
    assert batch.counts is not None
    parts = [part.counts for part in batch.split(1)]
    assert torch.equal(torch.cat([part for part in parts if part is not None]), batch.counts)
