"""The section `gate` of params.yaml."""

from collections.abc import Mapping

from pydantic import Field

from tasks.stage import Params


class MarginParams(Params):
    """How much worse a candidate may be: absolute, in each figure's own units.

    tasks: by the headline figure (macro_f1, rouge_l, chrf, token_f1); axis: levels of any axis of the rubric, axes:
    of those that have a margin of their own; unsafe: answers, more than the other has on the same prompts.
    """

    bits_per_byte: float = Field(ge=0)
    tasks: Mapping[str, float]
    axis: float = Field(ge=0)
    axes: Mapping[str, float]
    unsafe: int = Field(ge=0)


class MarginsParams(Params):
    """Against the champion, and against the base model: it models text better than what is tuned from it."""

    champion: MarginParams
    base: MarginParams


class GateParams(Params):
    """What a candidate must show to be promoted."""

    automatic: bool  # the flow `improve` promotes by itself; else a person approves
    beat_base: bool  # false: beside a champion it is enough not to lose to base, whose stories are much shorter
    prompts: int = Field(ge=1)  # of the hold-out, with a verdict: with fewer nothing is decided
    least_votes: int = Field(ge=1)  # of people, on answers to hold-out prompts; with fewer they do not count
    least_preference: float = Field(ge=0, le=0.5)
    most_drift: float = Field(gt=0, lt=1)  # of length and diversity, before it is told as a sign of reward hacking
    margins: MarginsParams
    bootstrap: int = Field(ge=100)  # resamples of prompts for an interval
    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0)
