"""Our measures as `evaluate.Metric`s: they are made here and never fetched.

Each has an experiment id of its own and stays in memory; the folder that `evaluate` makes is in var/.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import datasets

from tasks.evaluation.library import evaluate
from tasks.evaluation.word_runs import distinct_share, word_ngrams
from tasks.stage import STATE

TEXTS = datasets.Features({"predictions": datasets.Value("string")})
PAIRS = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("float64")})


class LocalMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric with a unique experiment id; a subclass says `features`, `what`, `source` and computes."""

    features = TEXTS
    what = ""
    source = ""

    def __init__(self) -> None:
        super().__init__(experiment_id=uuid.uuid4().hex, keep_in_memory=True, cache_dir=str(STATE / "evaluate"))

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=self.what,
            citation=self.source,
            inputs_description=f"{', '.join(self.features)}: one entry a text or pair",
            features=self.features,
        )


class DistinctN(LocalMetric):
    """Share of different word n-grams among all word n-grams of the texts (arXiv:1510.03055)."""

    what = "Distinct n-grams over all n-grams, of all texts together"
    source = "Li et al. 2016, arXiv:1510.03055"

    def _compute(self, predictions: Sequence[str], n: int = 2) -> dict[str, float]:
        return {f"distinct_{n}": distinct_share(predictions, n)}


class SelfBleu(LocalMetric):
    """Mean BLEU of each text against all the others, 0 to 100: high where they are alike (arXiv:1802.01886)."""

    what = "BLEU-4 of each text with the others as references, averaged"
    source = "Zhu et al. 2018, arXiv:1802.01886"

    def _compute(self, predictions: Sequence[str]) -> dict[str, float]:
        from sacrebleu.metrics import BLEU
        from sacrebleu.metrics.helpers import extract_all_word_ngrams

        scorer = BLEU(effective_order=True)  # what sacrebleu's sentence_bleu takes; a test holds this to it
        texts = [scorer._preprocess_segment(text) for text in predictions]
        counted = [extract_all_word_ngrams(text, 1, scorer.max_ngram_order) for text in texts]
        lengths = [length for _, length in counted]
        scores = []
        for at, others in enumerate(_most_in_others([grams for grams, _ in counted])):
            if predictions[at].strip() and len(texts) > 1:
                known = {"ref_ngrams": others, "ref_lens": lengths[:at] + lengths[at + 1 :]}
                sums = scorer._compute_segment_statistics(texts[at], known)
                scores.append(float(scorer._compute_score_from_stats(sums).score))
        return {"self_bleu": sum(scores) / max(1, len(scores))}


def _most_in_others(texts: Sequence[Mapping[Any, int]]) -> Iterator[dict[Any, int]]:
    """How often each n-gram of a text stands in the other text that has it most often; for each text."""
    best: dict[Any, tuple[int, int, int]] = {}  # the most, the text that has it, the most of the others
    for at, own in enumerate(texts):
        for gram, count in own.items():
            most, owner, second = best.get(gram, (0, -1, 0))
            best[gram] = (count, at, most) if count > most else (most, owner, max(second, count))
    for at, own in enumerate(texts):
        yield {gram: best[gram][2] if best[gram][1] == at else best[gram][0] for gram in own}


class RepetitionShare(LocalMetric):
    """Share of a text's word 4-grams that stand in it before, averaged over the texts."""

    what = "Repeated word n-grams within a text over all of its n-grams"
    source = "Welleck et al. 2019, arXiv:1908.04319 (seq-rep-n)"

    def _compute(self, predictions: Sequence[str], n: int = 4) -> dict[str, float]:
        shares = []
        for text in predictions:
            grams = list(word_ngrams(text, n))
            shares.append(1 - len(set(grams)) / len(grams) if grams else 0.0)
        return {f"repetition_{n}": sum(shares) / max(1, len(shares))}


class MinimalPairAccuracy(LocalMetric):
    """Share of pairs in which the good sentence costs less; a tie counts one half (BLiMP, arXiv:1912.00582)."""

    features = PAIRS
    what = "predictions: bits of the good sentence; references: bits of the bad one"
    source = "Warstadt et al. 2020, arXiv:1912.00582"

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        points = [
            1.0 if good < bad else 0.5 if good == bad else 0.0
            for good, bad in zip(predictions, references, strict=True)
        ]
        return {"accuracy": sum(points) / max(1, len(points))}


class MemorisedShare(LocalMetric):
    """Share of the texts' long word n-grams that stand in the training text.

    `training` is read once and may be a stream; only n-grams of the texts are held in memory.
    """

    what = "Word n-grams that stand in the training text, over all of the texts' n-grams"
    source = "after Carlini et al. 2022, arXiv:2202.07646"

    def _compute(self, predictions: Sequence[str], training: Any = (), n: int = 13) -> dict[str, float]:
        grams = Counter(gram for text in predictions for gram in word_ngrams(text, n))
        seen: set[tuple[str, ...]] = set()
        for text in training:
            seen.update(gram for gram in word_ngrams(text, n) if gram in grams)
        total = sum(grams.values())
        return {"memorised_share": sum(grams[gram] for gram in seen) / max(1, total)}
