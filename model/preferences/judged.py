"""Answers with what was said of them, as one table of conversations; what the reference makes of each.

Letters: E examples (pairs, or single answers), M answers of an example, N targets of all conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.documents import Documents, Ints
from model.preferences.likelihood import answer_lengths


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A prompt and an answer. ids: without the end token of a document; taught: the answer's tokens and its end."""

    ids: Sequence[int]
    taught: Sequence[bool]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.taught) or not any(self.taught):
            raise ValueError(f"{len(self.ids)} tokens, {len(self.taught)} marks, {sum(self.taught)} of them taught")

    @property
    def prompt(self) -> list[int]:
        """The tokens before the answer."""
        return list(self.ids[: self.taught.index(True)])

    @property
    def answer(self) -> list[int]:
        """The answer and what stands after it."""
        return list(self.ids[self.taught.index(True) :])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Examples. documents: all conversations; members: (E, M), the conversations of each example, the chosen one first.

    weights: (E,), float32, how much an example counts, 1 in the mean; desirable: (E,), bool, of single answers, None of
    pairs; unrelated: (E,), of single answers a conversation in which another example's answer follows the prompt.
    """

    documents: Documents
    members: Ints
    weights: npt.NDArray[np.float32]
    desirable: npt.NDArray[np.bool_] | None = None
    unrelated: Ints | None = None

    def __len__(self) -> int:
        return len(self.members)

    def first(self, count: int | None) -> Judged:
        """`count` evenly spread examples, None: all; the table stays whole."""
        if count is None or count >= len(self):
            return self
        chosen = np.linspace(0, len(self), count, endpoint=False).astype(np.int64)
        return replace(
            self,
            members=self.members[chosen],
            weights=self.weights[chosen],
            desirable=None if self.desirable is None else self.desirable[chosen],
            unrelated=None if self.unrelated is None else self.unrelated[chosen],
        )


@dataclass(frozen=True)
class Reference:
    """What the starting model makes of a table. log_probs: (N,), float32, target by target, document by document."""

    log_probs: Tensor
    starts: Ints  # (D + 1,), where each document's targets begin

    @classmethod
    def of(cls, documents: Documents, log_probs: Tensor) -> Reference:
        """Raises ValueError where there are not as many figures as targets."""
        starts = np.append(0, np.cumsum(answer_lengths(documents)))
        if len(log_probs) != starts[-1]:
            raise ValueError(f"{len(log_probs)} log-probabilities for {starts[-1]} targets: made of another table")
        return cls(log_probs, starts)

    def gather(self, order: Sequence[int]) -> Tensor:
        """The figures of some documents' targets, one document after the other."""
        return torch.cat([self.log_probs[self.starts[d] : self.starts[d + 1]] for d in order])


def judged_pairs(
    chosen: Sequence[Conversation], rejected: Sequence[Conversation], *, weights: Sequence[float], end_id: int
) -> Judged:
    """Pairs of answers to the same prompt. Raises ValueError where there is none."""
    members = np.arange(2 * len(chosen)).reshape(-1, 2)
    ordered = [one for pair in zip(chosen, rejected, strict=True) for one in pair]
    return Judged(documents=_table(ordered, end_id), members=members, weights=_scaled(weights))


def judged_answers(
    answers: Sequence[Conversation],
    *,
    desirable: Sequence[bool],
    weights: Sequence[float],
    end_id: int,
    context: int,
    seed: int,
) -> Judged:
    """Single answers with a thumb up or down, each prompt also followed by another prompt's answer.

    Raises ValueError where all prompts are the same: nothing is unrelated then.
    """
    unrelated = _unrelated(answers, context=context, seed=seed)
    count = len(answers)
    return Judged(
        documents=_table([*answers, *unrelated], end_id),
        members=np.arange(count).reshape(-1, 1),
        weights=_scaled(weights),
        desirable=np.asarray(desirable, dtype=np.bool_),
        unrelated=count + np.arange(count),
    )


def _unrelated(answers: Sequence[Conversation], *, context: int, seed: int) -> list[Conversation]:
    """After each prompt the next answer, in a drawn order, that belongs to another one, cut where the context ends."""
    order = np.random.default_rng(seed).permutation(len(answers)).tolist()
    prompts = [tuple(answer.prompt) for answer in answers]
    if len(set(prompts)) < 2:
        raise ValueError(f"{len(answers)} judged answers to one prompt: the loss kto needs two prompts or more")
    made: dict[int, Conversation] = {}
    for place, at in enumerate(order):
        turned = [*order[place + 1 :], *order[:place]]
        other = answers[next(index for index in turned if prompts[index] != prompts[at])]
        ids = [*prompts[at], *other.answer][:context]
        made[at] = Conversation(ids=ids, taught=[n >= len(prompts[at]) for n in range(len(ids))])
    return [made[at] for at in range(len(answers))]


def _scaled(weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """Weights of mean 1, so that the rate does not depend on what they are measured in."""
    found = np.asarray(weights, dtype=np.float64)
    if not len(found) or not np.isfinite(found).all() or (found <= 0).any():
        raise ValueError(f"{len(found)} weights: there must be one, and each be above 0")
    scaled: npt.NDArray[np.float32] = (found / found.mean()).astype(np.float32)
    return scaled


def _table(conversations: Sequence[Conversation], end_id: int) -> Documents:
    lengths = [len(one.ids) for one in conversations]
    nothing = np.zeros(len(lengths))
    return Documents(
        tokens=np.concatenate([np.asarray(one.ids, dtype=np.uint32) for one in conversations]),
        offsets=np.cumsum([0, *lengths]),
        weights=nothing.astype(np.float32),
        bytes=nothing.astype(np.int64),
        end_id=end_id,
        taught=np.concatenate([np.asarray(one.taught, dtype=np.bool_) for one in conversations]),
    )
