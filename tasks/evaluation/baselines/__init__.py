"""What each task must beat: baselines trained on the same training rows, tuned by cross-validation on them."""

from collections.abc import Sequence

from tasks.evaluation.baselines.base import Baseline
from tasks.evaluation.rows import Row

__all__ = ["BASELINES", "Baseline", "Row", "baselines_for"]

BASELINES = {  # the first of a kind is the one of its headline figure
    "classification": ("tfidf", "majority"),
    "summarization": ("lead3", "textrank"),
    "translation": ("phrases", "copy"),
    "assistant": ("retrieval",),
}


def baselines_for(kind: str, train: Sequence[Row], *, seed: int) -> list[Baseline]:
    """The baselines of a kind of task, trained on the task's training rows (columns of the mixture).

    Raises ValueError on an unknown kind or where there is nothing to train on.
    """
    if kind not in BASELINES:
        raise ValueError(f"unknown kind of task '{kind}'; known: {', '.join(BASELINES)}")
    if not train:
        raise ValueError(f"no training row to make the baselines of {kind} from")
    if kind == "classification":
        return _classifiers(train, seed)
    if kind == "summarization":
        from tasks.evaluation.baselines.extracts import extracts

        return list(extracts(train, seed=seed))
    if kind == "translation":
        from tasks.evaluation.baselines.extracts import CopySource
        from tasks.evaluation.baselines.phrases import PhraseTable

        return [PhraseTable(train, seed=seed), CopySource()]
    from tasks.evaluation.baselines.retrieval import Retrieval

    return [Retrieval(train, seed=seed)]


def _classifiers(train: Sequence[Row], seed: int) -> list[Baseline]:
    from tasks.evaluation.baselines.classifiers import MajorityClass, TfidfClassifier

    if len({str(row["label"]) for row in train}) < 2:
        return [MajorityClass(train)]
    return [TfidfClassifier(train, seed=seed), MajorityClass(train)]
