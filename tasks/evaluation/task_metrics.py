"""The measures of the four tasks as `evaluate.Metric`s, each with a bootstrap interval where one is asked for.

Every metric takes several references a prediction and scores the best of them. Figures are 0 to 1, but BLEU
and chrF, which are 0 to 100 as sacrebleu gives them. `compute(predictions=, references=, bootstrap=,
groups=)` gives `<name>`, and `<name>_low` and `<name>_high` where `bootstrap` is given; `measures` gives the
same as something that can be resampled and compared. An empty prediction scores 0; a row without a reference
is a ValueError.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from tasks.evaluation.constraints import KINDS, check
from tasks.evaluation.intervals import Bootstrap, Floats, Measure, interval, mean, of_sums, ratio
from tasks.evaluation.language import Stemmer, normalised, token_f1, tokens
from tasks.evaluation.metrics import LocalMetric
from tasks.evaluation.synonyms import synonyms

_TEXT = datasets.Value("string")
TEXTS_AND_REFERENCES = datasets.Features({"predictions": _TEXT, "references": datasets.Sequence(_TEXT)})
PROBABILITIES_AND_REFERENCES = datasets.Features(
    {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Sequence(_TEXT)}
)
TEXTS_AND_CONSTRAINTS = datasets.Features({"predictions": _TEXT, "references": _TEXT})

References = Sequence[Sequence[str]]


class TaskMetric(LocalMetric):
    """A metric that knows its figures as measures; a subclass gives `measures`."""

    features = TEXTS_AND_REFERENCES

    def measures(self, predictions: Sequence[Any], references: Sequence[Any], **options: Any) -> dict[str, Measure]:
        """The figures by name, each resamplable over the rows."""
        raise NotImplementedError

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        bootstrap: Bootstrap | None = None,
        groups: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name, measure in self.measures(predictions, references, **options).items():
            figures[name] = measure.value
            if bootstrap is not None:
                figures[f"{name}_low"], figures[f"{name}_high"] = interval(measure, bootstrap, groups=groups)
        return figures


class Accuracy(TaskMetric):
    """Share of predictions that are one of their references, letter for letter."""

    what = "Correct predictions over all predictions"
    source = "the plain share"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        _check_references(references)
        return {"accuracy": mean([float(p in r) for p, r in zip(predictions, references, strict=True)])}


class MacroF1(TaskMetric):
    """F1 of each class, averaged over the classes that are predicted or are a reference (scikit-learn's macro).

    A prediction that is none of `labels` counts against its reference's class and is no class of its own.
    """

    what = "F1 of each class, averaged with equal weight"
    source = "scikit-learn's f1_score(average='macro')"

    def measures(
        self, predictions: Sequence[str], references: References, labels: Sequence[str] = (), **_: Any
    ) -> dict[str, Measure]:
        truth = _truth(predictions, references)
        classes = list(labels) or sorted({*truth, *predictions})
        predicted = np.array([[float(p == label) for label in classes] for p in predictions])
        true = np.array([[float(t == label) for label in classes] for t in truth])
        sums = np.concatenate([predicted * true, predicted, true], axis=1)  # (N, 3 x classes)
        return {"macro_f1": of_sums(sums, _macro_f1)}


def _macro_f1(totals: Floats) -> Floats:
    """totals: (R, 3 x classes): hits, predicted, true of each class."""
    hits, predicted, true = np.split(totals, 3, axis=1)
    seen = (predicted + true) > 0
    f1 = 2 * hits / np.where(seen, predicted + true, 1)
    return np.asarray(f1.sum(axis=1) / np.maximum(1, seen.sum(axis=1)))


class RocAuc(TaskMetric):
    """Area under the ROC curve, one class against the rest, averaged over the classes.

    predictions: a probability for each of `labels`, in their order. A class that has no row, or every row, is
    left out of the average; NaN where that leaves none.
    """

    features = PROBABILITIES_AND_REFERENCES
    what = "ROC AUC of each class against the rest, averaged with equal weight"
    source = "Fawcett 2006, doi:10.1016/j.patrec.2005.10.010; scikit-learn's roc_auc_score(multi_class='ovr')"

    def measures(
        self, predictions: Sequence[Sequence[float]], references: References, labels: Sequence[str] = (), **_: Any
    ) -> dict[str, Measure]:
        _check_references(references)
        scores = np.asarray(predictions, dtype=np.float64).reshape(len(references), -1)
        if scores.shape[1] != len(labels):
            raise ValueError(f"{scores.shape[1]} probabilities a row for {len(labels)} labels")
        best = [
            max(row, key=lambda label: _place(values, labels, label))
            for row, values in zip(references, scores, strict=True)
        ]
        truth = np.array([[label == name for name in labels] for label in best])
        curves = [_area(scores[:, at], truth[:, at]) for at in range(len(labels))]
        return {
            "roc_auc": Measure(rows=len(scores), statistic=lambda drawn: _mean_of_known([c(drawn) for c in curves]))
        }


def _place(values: Floats, labels: Sequence[str], label: str) -> float:
    return float(values[labels.index(label)]) if label in labels else -1.0


def _area(scores: Floats, positive: np.ndarray[Any, Any]) -> Callable[[Floats], Floats]:
    """The share of (positive, negative) pairs in the right order, a tie counting one half; NaN without pairs."""
    order = np.argsort(scores, kind="stable")
    ties = np.concatenate([[0], np.flatnonzero(np.diff(scores[order])) + 1])
    is_positive = positive[order].astype(np.float64)

    def area(drawn: Floats) -> Floats:
        often = drawn[:, order]
        ups = np.add.reduceat(often * is_positive, ties, axis=1)  # (R, different scores)
        downs = np.add.reduceat(often * (1 - is_positive), ties, axis=1)
        right = (ups * (np.cumsum(downs, axis=1) - downs / 2)).sum(axis=1)
        pairs = ups.sum(axis=1) * downs.sum(axis=1)
        return np.asarray(np.divide(right, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0))

    return area


def _mean_of_known(values: Sequence[Floats]) -> Floats:
    table = np.stack(values)  # (classes, R)
    known = ~np.isnan(table)
    total = np.where(known, table, 0).sum(axis=0)
    return np.asarray(np.where(known.any(axis=0), total / np.maximum(1, known.sum(axis=0)), np.nan))


class Rouge(TaskMetric):
    """ROUGE-1, ROUGE-2 and ROUGE-L as F1, words stemmed (Porter), the best reference for each."""

    what = "F1 of shared unigrams, bigrams and of the longest common subsequence of words"
    source = "Lin 2004, https://aclanthology.org/W04-1013; package rouge-score"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        _check_references(references)
        kinds = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
        scorer = _rouge_scorer(list(kinds.values()))
        scored = [scorer.score_multi(list(r), p) for p, r in zip(predictions, references, strict=True)]
        return {name: mean([row[kind].fmeasure for row in scored]) for name, kind in kinds.items()}


def _rouge_scorer(kinds: list[str]) -> Any:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenize import tokenize

    class Tokenizer:
        """rouge_score's own tokenizer with its own stemmer, which remembers."""

        def tokenize(self, text: str) -> list[str]:
            return list(tokenize(text, Stemmer()))

    return RougeScorer(kinds, tokenizer=Tokenizer())


class Meteor(TaskMetric):
    """METEOR by exact and stem matches; synonyms only where `wordnet` names a local WordNet folder."""

    what = "Harmonic mean of unigram precision and recall with a penalty for broken order"
    source = "Banerjee and Lavie 2005, https://aclanthology.org/W05-0909; package nltk"

    def measures(
        self, predictions: Sequence[str], references: References, wordnet: Path | None = None, **_: Any
    ) -> dict[str, Measure]:
        from nltk.translate.meteor_score import meteor_score

        _check_references(references)
        reader, stemmer = synonyms(wordnet), Stemmer()
        scores = [
            float(meteor_score([tokens(text) for text in row], tokens(prediction), stemmer=stemmer, wordnet=reader))
            for prediction, row in zip(predictions, references, strict=True)
        ]
        return {"meteor": mean(scores)}


class Bleu(TaskMetric):
    """Corpus BLEU-4, 0 to 100, as sacrebleu gives it (13a tokens, exponential smoothing)."""

    what = "Geometric mean of n-gram precisions with a penalty for brevity, 0 to 100"
    source = "Papineni et al. 2002, https://aclanthology.org/P02-1040; Post 2018, arXiv:1804.08771"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        from sacrebleu.metrics import BLEU

        return {"bleu": _corpus_measure(BLEU(force=True), predictions, references)}


class ChrF(TaskMetric):
    """Corpus chrF2, 0 to 100, as sacrebleu gives it (character 6-grams, recall counted twice)."""

    what = "F-score of character n-grams, 0 to 100"
    source = "Popović 2015, https://aclanthology.org/W15-3049; Post 2018, arXiv:1804.08771"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        from sacrebleu.metrics import CHRF

        return {"chrf": _corpus_measure(CHRF(), predictions, references)}


def _corpus_measure(scorer: Any, predictions: Sequence[str], references: References) -> Measure:
    """A sacrebleu score by the counts of each sentence.

    sacrebleu keeps its counts to itself; a test holds what is made of them here to its `corpus_score`.
    """
    _check_references(references)
    most = max(map(len, references), default=1)
    streams = [[row[at] if at < len(row) else None for row in references] for at in range(most)]
    counts = np.asarray(scorer._extract_corpus_statistics(list(predictions), streams), dtype=np.float64)

    def score(totals: Floats) -> Floats:
        return np.array([scorer._compute_score_from_stats([int(x) for x in row]).score for row in totals])

    return of_sums(counts, score)


class ExactMatch(TaskMetric):
    """Share of predictions equal to a reference after SQuAD's normalisation (case, marks, articles)."""

    what = "Predictions that are a reference, after normalisation"
    source = "Rajpurkar et al. 2016, arXiv:1606.05250"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        _check_references(references)
        hits = [
            float(normalised(prediction) in {normalised(text) for text in row})
            for prediction, row in zip(predictions, references, strict=True)
        ]
        return {"exact_match": mean(hits)}


class TokenF1(TaskMetric):
    """F1 of the words that a prediction shares with its best reference, after SQuAD's normalisation."""

    what = "F1 of shared words, after normalisation"
    source = "Rajpurkar et al. 2016, arXiv:1606.05250"

    def measures(self, predictions: Sequence[str], references: References, **_: Any) -> dict[str, Measure]:
        _check_references(references)
        scores = [
            max(token_f1(prediction, text) for text in row)
            for prediction, row in zip(predictions, references, strict=True)
        ]
        return {"token_f1": mean(scores)}


class ConstraintsMet(TaskMetric):
    """Share of an instruction's constraints that were met, over all and by kind; share of answers that met all.

    references: the constraints of each row as JSON. Every required word is one constraint; an inflected form of
    it counts (see `constraints.check`).
    """

    features = TEXTS_AND_CONSTRAINTS
    what = "Constraints met over constraints asked for"
    source = "after Zhou et al. 2023 (IFEval), arXiv:2311.07911"

    def measures(self, predictions: Sequence[str], references: Sequence[str], **_: Any) -> dict[str, Measure]:
        kept = [check(answer, asked) for answer, asked in zip(predictions, references, strict=True)]
        some = [row.total_asked > 0 for row in kept]
        whole = [
            float(any_asked and row.total_met == row.total_asked) for any_asked, row in zip(some, kept, strict=True)
        ]
        found = {
            "constraints_met": ratio([row.total_met for row in kept], [row.total_asked for row in kept]),
            "all_constraints_met": ratio(whole, [float(any_asked) for any_asked in some]),
        }
        for kind in KINDS:
            if any(row.asked.get(kind) for row in kept):
                parts = [row.met.get(kind, 0) for row in kept], [row.asked.get(kind, 0) for row in kept]
                found[f"{kind}_constraints_met"] = ratio(*parts)
        return found


def _check_references(references: References) -> None:
    for at, row in enumerate(references):
        if not row:
            raise ValueError(f"row {at} has no reference; leave such rows out")


def _truth(predictions: Sequence[str], references: References) -> list[str]:
    """The class each row counts for: what was predicted where that is right, else its first reference."""
    _check_references(references)
    return [p if p in row else row[0] for p, row in zip(predictions, references, strict=True)]
