"""The loss of a micro-batch as the training loop wants it, and the figures of a step and of examples not trained on.

Figures go by MLflow's names. A margin is beta times the difference of two answers' ratios (their implicit rewards); an
accuracy the share of pairs whose margin is above 0, of single answers those on their side of z_0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.batches import Batch
from model.decoder import Decoder
from model.documents import IGNORE
from model.preferences.batches import Answers, Examples
from model.preferences.judged import Judged, Reference
from model.preferences.likelihood import answer_log_probs, answer_sums, document_log_probs
from model.preferences.losses import (
    Likelihoods,
    PreferenceConfig,
    pair_losses,
    thumb_losses,
    token_divergences,
    usual_ratio,
)
from model.training import answer_loss


@dataclass
class _Means:
    """Weighted means of figures that come in portions, in float64; they stay where the model is until they are asked.

    totals: by name (2,), the weighted sum and the weights' own.
    """

    totals: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, values: Tensor, weights: Tensor) -> None:
        own = torch.stack([(values.detach().double() * weights).sum(), weights.sum().double()])
        self.totals[name] = self.totals[name] + own if name in self.totals else own

    def figures(self, prefix: str) -> dict[str, float]:
        """The means, fetched at once: each fetch waits for the device. Of nothing there is none."""
        found = sorted(self.totals)
        told = torch.stack([self.totals[name] for name in found]).tolist() if found else []
        return {f"{prefix}/{name}": total / weight for name, (total, weight) in zip(found, told, strict=True) if weight}


class PreferenceObjective:
    """The objective of the training loop: the loss of a micro-batch of examples, or of replayed text.

    `figures` tells of the latest step. Nothing else is kept from one micro-batch to the next but KTO's z_0, which is of
    the whole step, so that a step does not depend on how it is cut.
    """

    def __init__(self, config: PreferenceConfig) -> None:
        self.config = config
        self._step = -1
        self._means = _Means()
        self._usual = torch.zeros(())

    def __call__(self, model: Decoder, batch: Batch) -> Tensor:
        """The sum of the losses of a micro-batch, as `model.training.Objective` has it."""
        if not isinstance(batch, Examples):
            return self._replayed(model, batch)
        if batch.step != self._step:
            self._begin(model, batch)
        found = answer_log_probs(model, batch)
        answers = _likelihoods(found, batch.reference, batch.lengths)
        losses = self._losses(batch, answers)
        self._note(batch, answers, losses, token_divergences(found.detach(), batch.reference))
        return (losses * batch.weights).sum() * batch.scale

    def figures(self) -> dict[str, float]:
        """Figures of the latest step: train/chosen_log_prob and so on."""
        return self._means.figures("train")

    def _replayed(self, model: Decoder, batch: Batch) -> Tensor:
        loss = answer_loss(model, batch)
        if batch.counts is not None and (counted := batch.counts[batch.targets != IGNORE]).numel():
            self._means.add("replay_loss", loss.detach() / counted.sum(), counted.new_full((), counted.numel()))
        return loss

    @torch.no_grad()
    def _begin(self, model: Decoder, batch: Examples) -> None:
        self._step, self._means = batch.step, _Means()
        if batch.unrelated:
            self._usual = usual_ratio(torch.cat([_ratios(model, rows) for rows in batch.unrelated]))
            self._means.add("kto_kl", self._usual, torch.ones_like(self._usual))

    def _losses(self, batch: Examples, answers: Likelihoods) -> Tensor:
        if batch.desirable is None:
            chosen, rejected = (_taken(answers, places) for places in batch.places.unbind(1))
            return pair_losses(self.config, chosen, rejected)
        own = _taken(answers, batch.places[:, 0])
        return thumb_losses(self.config, own, desirable=batch.desirable, usual=self._usual)

    @torch.no_grad()
    def _note(self, batch: Examples, answers: Likelihoods, losses: Tensor, divergences: Tensor) -> None:
        weights = batch.weights.double()
        self._means.add("preference_loss", losses, weights)
        self._means.add("kl_from_reference", divergences, torch.ones_like(divergences))
        if batch.desirable is None:
            chosen, rejected = (_taken(answers, places) for places in batch.places.unbind(1))
            _note_pairs(self._means, self.config, chosen, rejected, weights)
        else:
            own = _taken(answers, batch.places[:, 0])
            _note_thumbs(self._means, self.config, own, batch.desirable, self._usual, weights)


@torch.no_grad()
def preference_figures(
    model: Decoder, pairs: Judged, reference: Reference, config: PreferenceConfig, *, limit: int | None
) -> dict[str, float]:
    """What a model makes of `limit` pairs that are not trained on, None: of all; by the names val/....

    val/loss is the pairs' own (of KTO that of DPO, which needs no other prompts), the SFT term in it; the KL divergence
    is the mean of k3 over the tokens of chosen and rejected answers, see `token_divergences`.
    """
    chosen_pairs = pairs.first(limit)
    used = chosen_pairs.members.flatten().tolist()
    found = document_log_probs(model, pairs.documents, used)
    expected = reference.gather(used)
    lengths = [int(reference.starts[d + 1] - reference.starts[d]) for d in used]
    answers = _likelihoods(found, expected, lengths)
    chosen, rejected = (_taken(answers, torch.arange(at, len(used), 2)) for at in (0, 1))
    means, weights = _Means(), torch.from_numpy(chosen_pairs.weights).double()
    means.add("loss", pair_losses(_of_pairs(config), chosen, rejected), weights)
    divergences = token_divergences(found, expected)
    means.add("kl_from_reference", divergences, torch.ones_like(divergences))
    _note_pairs(means, config, chosen, rejected, weights)
    return means.figures("val")


def _of_pairs(config: PreferenceConfig) -> PreferenceConfig:
    return replace(config, loss="dpo") if config.loss == "kto" else config


def _note_pairs(
    means: _Means, config: PreferenceConfig, chosen: Likelihoods, rejected: Likelihoods, weights: Tensor
) -> None:
    margins = chosen.ratios(per_token=config.per_token) - rejected.ratios(per_token=config.per_token)
    means.add("margin", config.beta * margins, weights)
    means.add("accuracy", (margins > 0).double() + 0.5 * (margins == 0).double(), weights)
    means.add("sft_loss", chosen.token_losses(), weights)
    for name, answers in (("chosen", chosen), ("rejected", rejected)):
        _note_answers(means, name, answers, weights)


def _note_thumbs(
    means: _Means, config: PreferenceConfig, answers: Likelihoods, desirable: Tensor, usual: Tensor, weights: Tensor
) -> None:
    ratios = answers.ratios(per_token=False)
    means.add("accuracy", ((ratios > usual) == desirable).double(), weights)
    means.add("sft_loss", answers.token_losses(), weights * desirable)
    for name, own in (("chosen", desirable), ("rejected", ~desirable)):
        _note_answers(means, name, answers, weights * own)
        means.add(f"{name}_reward", config.beta * ratios, weights * own)


def _note_answers(means: _Means, name: str, answers: Likelihoods, weights: Tensor) -> None:
    means.add(f"{name}_log_prob", answers.log_probs, weights)
    means.add(f"{name}_log_prob_per_token", answers.log_probs / answers.tokens, weights)
    means.add(f"{name}_log_prob_gain_per_token", answers.ratios(per_token=True), weights)


def _likelihoods(found: Tensor, reference: Tensor, lengths: Sequence[int]) -> Likelihoods:
    tokens = torch.tensor(lengths, dtype=torch.float32, device=found.device)
    return Likelihoods(answer_sums(found, lengths), answer_sums(reference, lengths), tokens)


def _taken(answers: Likelihoods, places: Tensor) -> Likelihoods:
    return Likelihoods(answers.log_probs[places], answers.reference[places], answers.tokens[places])


def _ratios(model: Decoder, rows: Answers) -> Tensor:
    found = answer_log_probs(model, rows)
    return answer_sums(found, rows.lengths) - answer_sums(rows.reference, rows.lengths)
