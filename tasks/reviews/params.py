"""The section `review` of params.yaml."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from tasks.reviews.kinds import Kind
from tasks.stage import Params, UserError

Source = Literal["labelled", "judged", "gated"]


class QualityParams(Params):
    """Beyond these a reviewer's answers are left out at export; a check of too few answers leaves none out."""

    min_gold_agreement: float = Field(ge=0, le=1)
    min_gold: int = Field(ge=1)  # gold items answered before the agreement counts
    min_self_consistency: float = Field(ge=0, le=1)
    min_again: int = Field(ge=1)  # repeats answered before the consistency counts
    max_fast_share: float = Field(ge=0, le=1)
    words_per_minute: int = Field(ge=1)  # faster than this nobody has read it
    max_one_side_share: float = Field(gt=0.5, le=1)
    min_choices: int = Field(ge=1)  # choices before a side bias counts
    bootstrap: int = Field(ge=100)
    confidence: float = Field(gt=0.5, lt=1)


class QuestionParams(Params):
    """How two models that are served answer a reviewer's own question."""

    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    max_tokens: int = Field(ge=1)


class ReviewParams(Params):
    """How a batch is made, handed out and measured."""

    source: Source  # answers to training prompts, or to the hold-out's: of all models, or of those at the gate
    batch_items: int = Field(ge=1)  # without the gold ones
    kinds: dict[Kind, float]  # shares of the batch, adding up to 1
    gold_share: float = Field(ge=0, lt=1)  # of what a reviewer sees
    double_share: float = Field(ge=0, le=1)  # of the items: shown to two people
    again_share: float = Field(ge=0, lt=1)  # of a reviewer's choices: shown again with the sides swapped
    again_after: int = Field(ge=1)  # so many answers later
    lease_s: int = Field(ge=10)
    prefetch: int = Field(ge=0)
    undo_last: int = Field(ge=0)
    most_skips: int = Field(ge=1)  # so many people skipped it: set aside for the owner
    cluster_jaccard: float = Field(gt=0, le=1)  # of word shingles: prompts this near are one cluster
    seed: int = Field(ge=0)
    question: QuestionParams
    quality: QualityParams

    @model_validator(mode="after")
    def _is_whole(self) -> "ReviewParams":
        if abs(sum(self.kinds.values()) - 1) > 1e-6 or min(self.kinds.values(), default=0) < 0:
            raise ValueError(f"kinds: shares of 0 to 1 that add up to 1; got {dict(self.kinds)}")
        return self

    def of(self, source: str | None) -> "ReviewParams":
        """The same for another source, where one is named. Raises UserError for one that there is not."""
        if source is None:
            return self
        if source not in get_args(Source):
            raise UserError(f"source '{source}' is unknown; allowed: {', '.join(get_args(Source))}")
        return self.model_copy(update={"source": source})
