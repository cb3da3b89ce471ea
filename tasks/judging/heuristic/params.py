"""What a heuristic judge is made with: the section calibrate.heuristics.<name> of params.yaml."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tasks.stage import Params


class SubwordNgramParams(Params):
    """Modified Kneser-Ney over the tokens of a byte-pair encoding of the judge's own.

    Of the tokenizers that the library trains, unigram and wordpiece differ from run to run; this one doesn't.
    """

    kind: Literal["subword_ngram"]
    order: int = Field(ge=2)
    vocabulary_size: int = Field(ge=300)


class ByteNgramParams(Params):
    """Modified Kneser-Ney over bytes: no tokenizer, and no word that it can't read."""

    kind: Literal["byte_ngram"]
    order: int = Field(ge=2, le=16)


LanguageModelParams = Annotated[SubwordNgramParams | ByteNgramParams, Field(discriminator="kind")]


class HeuristicParams(Params):
    """A heuristic judge: its language model and how it measures."""

    language_model: LanguageModelParams
    reference_share: float = Field(gt=0, lt=1)  # of the stories, by their plan: measured for percentiles, never learnt
    window_words: int = Field(ge=2)  # of a window of local likelihood
    worst_share: float = Field(gt=0, le=1)  # of the windows: their mean is the local likelihood
    rare_per_million: float = Field(gt=0)  # a word below this is a rare one
    copied_ngram: int = Field(ge=4)  # words in a row that count as copied
    most_unknown: float = Field(gt=0, le=1)  # share of words outside the stories' from which a text can't be read
    axis_weights: Mapping[str, Annotated[float, Field(gt=0)]]  # of an axis in a comparison; 1 where it is not named
    tie_margin: float = Field(ge=0, le=4)  # levels between wholly different answers up to which they are equal
