"""What is measured of an answer beside its request, its document and its references: shares from 0 to 1."""

from functools import cache
from typing import TYPE_CHECKING

from tasks.cleaning.words import split_words
from tasks.evaluation.constraints import check
from tasks.evaluation.fabrication import is_refusal, made_up_words
from tasks.evaluation.language import normalised, stem, token_f1, tokens
from tasks.judging.heuristic.measures import prompt_gain
from tasks.judging.heuristic.reading import Reading
from tasks.judging.heuristic.vocabulary import Vocabulary, content_words
from tasks.judging.records import Item

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import CHRF

MOST_WORDS = 500  # of an answer, for ROUGE-L: its time grows with their square
SHORTEST, LONGEST = 0.5, 2.0  # times the length of the nearest reference: within these an answer has the right length


def shares(item: Item, reading: Reading, vocabulary: Vocabulary) -> dict[str, float]:
    """Those that can be had: without constraints there is no `constraints_met`, without references no `reference`."""
    found: dict[str, float | None] = {
        "constraints_met": _constraints_met(item),
        "prompt_gain": None if reading.begins else prompt_gain(item.prompt, reading.words, vocabulary),
    }
    if item.part == "task":
        found |= {
            "reference": max((likeness(item.answer, reference) for reference in item.references), default=None),
            "answered": _answered(item),
            "length": _length(item),
            "supported": _supported(item),
            "overlap": _overlap(item, reading),
        }
    return {name: value for name, value in found.items() if value is not None}


def likeness(answer: str, reference: str) -> float:
    """The mean of token F1 (SQuAD's), ROUGE-L and chrF, each 0 to 1; 1 for the same text."""
    if normalised(answer) == normalised(reference):
        return 1.0
    rouge_l = float(_rouge().score(reference, answer)["rougeL"].fmeasure)
    chrf = float(_chrf().sentence_score(answer, [reference]).score) / 100
    return (token_f1(answer, reference) + rouge_l + chrf) / 3


class _Words:
    """In place of rouge_score's own tokenizer, which knows no letter beyond a to z; so many words are read."""

    def tokenize(self, text: str) -> list[str]:
        return [stem(word) for word in split_words(text)[:MOST_WORDS]]


@cache
def _rouge() -> "RougeScorer":
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Words())


@cache
def _chrf() -> "CHRF":
    from sacrebleu.metrics import CHRF

    return CHRF()


def _constraints_met(item: Item) -> float | None:
    kept = check(item.answer, item.constraints)
    return kept.total_met / kept.total_asked if kept.total_asked else None


def _answered(item: Item) -> float | None:
    """Whether it answers what can be answered, and refuses what can't, by the references; None without any."""
    if not item.references:
        return None
    should_refuse = any(is_refusal(reference, _REFUSALS) for reference in item.references)
    return float(is_refusal(item.answer, _REFUSALS) == should_refuse)


_REFUSALS = (
    "The story does not say", "I don't know", "I do not know", "I can't", "I cannot", "I'm sorry", "I am sorry",
    "I won't", "As an AI", "It does not say", "No answer",
)  # fmt: skip


def _length(item: Item) -> float | None:
    """1 within half and twice the length of a reference, else the share that it is off."""
    said = max(1, len(item.answer.split()))
    ratios = [said / max(1, len(reference.split())) for reference in item.references]
    return max((min(1.0, ratio / SHORTEST, LONGEST / ratio) for ratio in ratios), default=None)


def _supported(item: Item) -> float | None:
    """The share of the answer's words of content that the document or the request holds."""
    source = f"{item.document} {item.prompt}"
    said = content_words(word.lower() for word in tokens(item.answer) if word[0].isalpha())
    if not item.document or not said:
        return None
    return 1 - min(1.0, len(made_up_words(item.answer, source)) / len(said))


def _overlap(item: Item, reading: Reading) -> float | None:
    """The share of the answer's words of content that request or document hold."""
    said = {stem(word) for word in content_words(reading.words)}
    asked = {stem(word) for word in split_words(f"{item.prompt} {item.document}")}
    return len(said & asked) / len(said) if said else None
