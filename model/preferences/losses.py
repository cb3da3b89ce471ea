"""What preferences teach: the losses of DPO, IPO and KTO on log-probabilities of answers.

Letters: P pairs, E single answers. A ratio is log pi(y|x) - log pi_ref(y|x), in nats: of an answer, or with `per_token`
of its mean token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LossKind = Literal["dpo", "ipo", "kto"]


@dataclass(frozen=True, kw_only=True)
class PreferenceConfig:
    """Which loss, and its constants. Raises ValueError naming the key and what is allowed."""

    loss: LossKind
    beta: float  # how dear it is to leave the reference; of IPO the paper's tau
    label_smoothing: float  # of DPO: the share of pairs that may be the wrong way round
    per_token: bool  # ratios over the answer's length
    sft_weight: float  # of the chosen answer's own loss, nats a token
    desirable_weight: float  # of KTO, lambda_D
    undesirable_weight: float  # of KTO, lambda_U

    def __post_init__(self) -> None:
        if self.loss not in ("dpo", "ipo", "kto"):
            raise ValueError(f"loss={self.loss!r} is unknown; allowed: dpo, ipo, kto")
        if not self.beta > 0:
            raise ValueError(f"beta={self.beta} is not allowed; allowed: above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing={self.label_smoothing} is not allowed; allowed: from 0 to below .5")
        if self.label_smoothing and self.loss != "dpo":
            raise ValueError(f"label_smoothing={self.label_smoothing} is of the loss dpo; {self.loss} has none")
        if self.per_token and self.loss == "kto":
            raise ValueError("per_token is of the losses dpo and ipo; kto compares whole answers with their mean")
        if min(self.sft_weight, self.desirable_weight, self.undesirable_weight) < 0:
            raise ValueError("sft_weight, desirable_weight and undesirable_weight must be at least 0")


@dataclass(frozen=True)
class Likelihoods:
    """Of some answers. log_probs: (E,), nats; reference: (E,), the same by the reference; tokens: (E,), float32."""

    log_probs: Tensor
    reference: Tensor
    tokens: Tensor

    def ratios(self, *, per_token: bool) -> Tensor:
        """How much likelier than by the reference: (E,), nats."""
        ratios = self.log_probs - self.reference
        return ratios / self.tokens if per_token else ratios

    def token_losses(self) -> Tensor:
        """Each answer's own loss: (E,), nats a token."""
        return -self.log_probs / self.tokens


def pair_losses(config: PreferenceConfig, chosen: Likelihoods, rejected: Likelihoods) -> Tensor:
    """The loss of each pair: (P,).

    dpo: arXiv:2305.18290, equation 7, with the label smoothing of its conservative form (cDPO, E. Mitchell 2023);
    ipo: arXiv:2310.12036, equation 17. per_token: the length-normalised DPO of Tulu 3 (arXiv:2411.15124, section on
    preference tuning), so that a long answer's ratio is not larger for its length; IPO of mean tokens is TRL's.
    sft_weight: the chosen answer's loss beside it (RPO, arXiv:2404.19733), over its own tokens, the prompt left out.
    """
    margins = chosen.ratios(per_token=config.per_token) - rejected.ratios(per_token=config.per_token)  # (P,)
    if config.loss == "ipo":
        losses = (margins - 1.0 / (2.0 * config.beta)).square()
    else:
        smoothing = config.label_smoothing
        losses = -(1.0 - smoothing) * F.logsigmoid(config.beta * margins)
        losses = losses - smoothing * F.logsigmoid(-config.beta * margins)
    return losses + config.sft_weight * chosen.token_losses()


def thumb_losses(config: PreferenceConfig, answers: Likelihoods, *, desirable: Tensor, usual: Tensor) -> Tensor:
    """The loss of single answers (KTO, arXiv:2402.01306, lambda_y - v(x, y)): (E,), at least 0.

    desirable: (E,), bool; usual: a scalar, `usual_ratio`. sft_weight adds the loss of the desirable answers' tokens.
    """
    rewards = config.beta * (answers.ratios(per_token=False) - usual)
    good = config.desirable_weight * (1.0 - torch.sigmoid(rewards))
    good = good + config.sft_weight * answers.token_losses()
    return torch.where(desirable, good, config.undesirable_weight * (1.0 - torch.sigmoid(-rewards)))


def usual_ratio(ratios: Tensor) -> Tensor:
    """KTO's point of reference z_0: the mean ratio of answers to other prompts, at least 0, without a gradient.

    It is a biased, cheap estimate of KL(policy || reference) (arXiv:2402.01306).
    """
    return ratios.mean().clamp(min=0.0).detach()


def token_divergences(log_probs: Tensor, reference: Tensor) -> Tensor:
    """The k3 estimate of the KL divergence at each token (joschu.net/blog/kl-approx), nats, at least 0.

    exp(d) - 1 - d with d = log pi - log pi_ref. Its mean over tokens that the reference drew is KL(reference || policy)
    without bias; over other tokens it is a distance from the reference all the same. Both: (N,). Returns (N,).
    """
    d = (log_probs - reference).double()
    return torch.expm1(d) - d
