"""Stage align: the fine-tuned model and preferences to the aligned model, by DPO, IPO or KTO, in full or by LoRA.

The loop, checkpoints, resume and metrics are those of `pretrain` (tasks.training); what is learnt is in
model.preferences, how the stage goes about it in tasks.aligning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tasks import stage
from tasks.adaptation import AdaptationParams
from tasks.stage import Params, UserError
from tasks.training import Count, Positive

NotNegative = Annotated[float, Field(ge=0.0)]


class KtoParams(Params):
    """Read where the loss is kto.

    desirable_weight, undesirable_weight: how much a thumb up and down counts; the paper wants desirable_weight times
    the thumbs up over undesirable_weight times the thumbs down between 1 and 4/3. pairs_too: each pair is a thumb up
    and a thumb down as well.
    """

    desirable_weight: NotNegative
    undesirable_weight: NotNegative
    pairs_too: bool


class ReplayParams(Params):
    """What was learnt before, shown again against forgetting.

    share: of a step's tokens, 0: nothing; weight: of its loss (nats a token) beside a pair's; source: the instruction
    mixture's conversations, or pretraining text.
    """

    share: Annotated[float, Field(ge=0.0, lt=1.0)]
    weight: NotNegative
    source: Literal["mixture", "text"]


class BoundsParams(Params):
    """Where the run stops and keeps the state of the evaluation before; all are of pairs that are not trained on.

    chosen_drop: nats a token that the chosen answers get less likely than by the starting model; kl: nats a token, k3,
    from the starting model; length_drift: share by which sampled answers get longer or shorter than its own.
    """

    chosen_drop: Positive
    kl: Positive
    length_drift: Positive


class AlignParams(AdaptationParams):
    """The section `align` of params.yaml, with the keys of every training stage.

    loss: dpo | ipo | kto (thumbs); beta: how dear it is to leave the starting model, of ipo the paper's tau;
    label_smoothing: of dpo, the share of pairs that may be the wrong way round; per_token: log-probabilities of a mean
    token, not of the whole answer: a beta of 2 to 5 then; sft_weight: of the chosen answer's own loss, nats a token,
    which keeps it likely; least_pairs: of pairs and thumbs, with fewer nothing is learnt and the starting model stays;
    epochs: of the pairs at most, None: as many as budget_tokens are; sampled_answers: answers to prompts of the
    validation pairs at each evaluation, for length and distinct-n, with sampling.max_tokens.
    """

    loss: Literal["dpo", "ipo", "kto"]
    beta: Positive
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)]
    per_token: bool
    sft_weight: NotNegative
    kto: KtoParams
    least_pairs: Annotated[int, Field(ge=0)]
    epochs: Positive | None
    replay: ReplayParams
    bounds: BoundsParams
    sampled_answers: Count


def align(
    params: AlignParams,
    *,
    model: Path,
    pairs: Path,
    mixture: Path,
    tokens: Path,
    aligned: Path,
    metrics: Path,
    curve: Path,
) -> None:
    """Train a chat model on preferences and write the aligned model's folder, its figures and its curve.

    model: the folder to start from, which is the reference too; pairs: train.jsonl, validation.jsonl and, where there
    are thumbs, thumbs.jsonl; mixture, tokens: what it learnt from, for replay and to see what is forgotten. Where a
    bound is passed, the last state that kept to all is written and `stopped_by` says which. Raises UserError.
    """
    from tasks.aligning.data import Inputs
    from tasks.aligning.run import run

    inputs = Inputs(model=model, pairs=pairs, mixture=mixture, tokens=tokens)
    try:
        run(params, inputs, aligned=aligned, metrics=metrics, curve=curve)
    except ValueError as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    stage.main(align)
