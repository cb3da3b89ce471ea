"""A preference between two answers to a prompt, a thumb for one, and why others did not become any."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.judging.records import short_hash

Source = Literal["judge", "human", "correction"]

NOT_FOR_TRAINING = "not_for_training"  # gold, shown again, or a prompt of another split
REASONS = (
    "no_verdict",  # the judge abstained, or failed
    "tie",
    "flipped",  # the order in which the two were shown decided
    "small_margin",
    "stood_in",  # a judge's verdict, beyond its share beside people's
    "overruled",  # a judge's verdict on answers that people decided on
    "people_disagree",
    NOT_FOR_TRAINING,
    "same_text",
    "contaminated",  # near to a prompt that is evaluated or judged on
    "over_cap",  # of a prompt
    "length_balance",
    "middling",  # a rating that is no thumb
    "held_back",  # a thumb to a prompt whose pairs are the validation's
)


@dataclass(frozen=True, kw_only=True)
class Preference:
    """That one answer is better than another. weight: a ranking's pairs share the weight of one judgement.

    margin: how sure, 0 to 1; a person's is 1. cut: the texts that ended because they were as long as they could be.
    origin: who said so, for `fledgling trace`.
    """

    prompt_id: str
    kind: str
    prompt: str
    chosen: str
    rejected: str
    source: Source
    weight: float = 1.0
    margin: float = 1.0
    cut: frozenset[str] = frozenset()
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return short_hash([self.prompt, self.chosen, self.rejected, self.source])

    @property
    def texts(self) -> tuple[str, frozenset[str]]:
        """The prompt and the two answers, whichever of them is better."""
        return self.prompt_id, frozenset((self.chosen, self.rejected))

    @property
    def chosen_is_longer(self) -> bool:
        """By words, which is what readers see."""
        return len(self.chosen.split()) > len(self.rejected.split())

    @property
    def rejected_is_longer(self) -> bool:
        return len(self.rejected.split()) > len(self.chosen.split())


@dataclass(frozen=True, kw_only=True)
class Thumb:
    """That an answer is good, or bad, beside no other."""

    prompt_id: str
    kind: str
    prompt: str
    answer: str
    desirable: bool
    cut: bool = False
    weight: float = 1.0
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a source gave. rejected: how much of it became no preference, by reason.

    decided: the pairs of answers (Preference.texts) that people said something of, ties too.
    """

    preferences: list[Preference] = field(default_factory=list)
    thumbs: list[Thumb] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    decided: frozenset[tuple[str, frozenset[str]]] = frozenset()
