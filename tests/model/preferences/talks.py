"""Small judged answers for the tests of model/preferences: conversations of random tokens, and runs on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.decoder import Decoder
from model.preferences.batches import PreferenceBatches
from model.preferences.judged import Conversation, Judged, Reference, judged_answers, judged_pairs
from model.preferences.likelihood import document_log_probs
from model.preferences.losses import PreferenceConfig

CONTEXT, END_OF_TURN = 32, 60  # of tests.model.small


def config(**changes: Any) -> PreferenceConfig:
    """Plain DPO with changes."""
    plain: dict[str, Any] = {
        "loss": "dpo", "beta": 0.5, "label_smoothing": 0.0, "per_token": False, "sft_weight": 0.0,
        "desirable_weight": 1.0, "undesirable_weight": 1.0,
    }  # fmt: skip
    return PreferenceConfig(**{**plain, **changes})


def talk(prompt: list[int], answer: list[int]) -> Conversation:
    """A prompt and an answer with its end."""
    ids = [*prompt, *answer, END_OF_TURN]
    return Conversation(ids=ids, taught=[n >= len(prompt) for n in range(len(ids))])


def talks(count: int, *, seed: int = 0) -> list[tuple[Conversation, Conversation]]:
    """Pairs of answers of different lengths to different prompts."""
    rng = np.random.default_rng(seed)

    def some(low: int, high: int) -> list[int]:
        return rng.integers(1, 60, rng.integers(low, high)).tolist()

    prompts = [[at + 1, *some(1, 5)] for at in range(count)]
    return [(talk(prompt, some(2, 12)), talk(prompt, some(2, 12))) for prompt in prompts]


def pairs(count: int, *, seed: int = 0, weights: list[float] | None = None) -> Judged:
    """`talks` as judged pairs."""
    chosen, rejected = zip(*talks(count, seed=seed), strict=True)
    return judged_pairs(chosen, rejected, weights=weights or [1.0] * count, end_id=0)


def thumbs(count: int, *, seed: int = 0) -> Judged:
    """The chosen of `talks` with a thumb up, the rejected with one down."""
    answers = [answer for pair in talks(count, seed=seed) for answer in pair]
    return judged_answers(
        answers, desirable=[True, False] * count, weights=[1.0] * (2 * count), end_id=0, context=CONTEXT, seed=seed
    )


def reference(model: Decoder, judged: Judged) -> Reference:
    """What a model makes of the table."""
    documents = judged.documents
    return Reference.of(documents, document_log_probs(model, documents, range(len(documents))))


def batches(judged: Judged, known: Reference, *, rows: int = 4, micro_rows: int = 2, **more: Any) -> PreferenceBatches:
    """Batches of a few short rows."""
    return PreferenceBatches(judged, known, context=CONTEXT, rows=rows, micro_rows=micro_rows, seed=1, **more)


def alone(model: Decoder, judged: Judged, document: int) -> Tensor:
    """The log-probabilities of an answer's tokens by the plain forward pass of one conversation, with gradients."""
    ids = torch.from_numpy(judged.documents.document(document))
    before = torch.cat([torch.zeros(1, dtype=torch.int64), ids[:-1]])  # 0: the end token that every row begins with
    logits = model(before[None])[0].log_softmax(-1)
    taught = torch.from_numpy(judged.documents.targets(document)) >= 0
    return logits.gather(1, ids[:, None])[taught, 0]
