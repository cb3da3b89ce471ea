"""The baseline of the assistant: the answer of the nearest training request, or the nearest sentence.

Nearest by TF-IDF cosine. Four forms are tried on training rows (their own group left out), and each aspect
(questions, stories, instructions) gets the one with the best token F1: the answer of the request most like
the whole request; of the one most like it without its document; the middle one of ten such answers (the one
most like the other nine, weighted by nearness); the sentence of the document most like the question.
"""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.evaluation.intervals import Floats
from tasks.evaluation.language import sentences, token_f1
from tasks.evaluation.rows import Row, question, request

_NEIGHBOURS = 10
_TUNED_ON = 200  # training rows of each aspect
_AT_ONCE = 256  # rows whose nearness to all training rows is held in memory

_WORD = r"(?u)\b\w+\b"  # scikit-learn's own leaves out words of one letter
Key = Callable[[Row], str]
_FORMS = ("whole request", "question", "middle of ten", "sentence")


class Retrieval:
    """Answers by what the training rows hold; see the module."""

    name = "retrieval"

    def __init__(self, train: Sequence[Row], *, seed: int) -> None:
        self._train = list(train)
        self._groups = np.array([str(row.get("group") or f"row {at}") for at, row in enumerate(train)])
        self._place_of = {id(row): at for at, row in enumerate(self._train)}
        self._by_request, self._by_question = _Index(train, request, longest=1), _Index(train, question, longest=2)
        self._form_of = self._tuned(seed)
        self.how = "; ".join(f"{aspect or 'all'}: {form}" for aspect, form in sorted(self._form_of.items()))

    def answers(self, rows: Sequence[Row]) -> list[str]:
        found = [""] * len(rows)
        for form in _FORMS:
            places = [at for at, row in enumerate(rows) if self._form(row) == form]
            for at, answer in zip(places, self._answer(form, [rows[at] for at in places], apart=False), strict=True):
                found[at] = answer
        return found

    def probabilities(self, rows: Sequence[Row]) -> None:
        return None

    def _form(self, row: Row) -> str:
        usual = next(iter(self._form_of.values()))
        return self._form_of.get(str(row.get("aspect") or ""), usual)

    def _tuned(self, seed: int) -> dict[str, str]:
        """The form of each aspect, the commonest aspect first."""
        places: dict[str, list[int]] = {}
        for at in np.random.default_rng(seed).permutation(len(self._train)):
            places.setdefault(str(self._train[at].get("aspect") or ""), []).append(int(at))
        found: dict[str, str] = {}
        for aspect in sorted(places, key=lambda name: (-len(places[name]), name)):
            sample = [self._train[at] for at in places[aspect][:_TUNED_ON]]
            found[aspect] = max(_FORMS, key=lambda form: self._reached(form, sample))
        return found

    def _reached(self, form: str, sample: Sequence[Row]) -> float:
        answers = self._answer(form, sample, apart=True)
        return sum(token_f1(answer, str(row["answer"])) for answer, row in zip(answers, sample, strict=True))

    def _answer(self, form: str, rows: Sequence[Row], *, apart: bool) -> list[str]:
        """Answers by one form; apart: training rows of a row's own group are not looked at."""
        if form == "sentence":
            return [self._sentence(row) for row in rows]
        index = self._by_request if form == "whole request" else self._by_question
        count = _NEIGHBOURS if form == "middle of ten" else 1
        found = []
        for start in range(0, len(rows), _AT_ONCE):
            batch = rows[start : start + _AT_ONCE]
            near = index.nearness(batch)
            for row, values in zip(batch, near, strict=True):
                if apart:
                    values = np.where(self._groups == self._groups[self._place_of[id(row)]], -1.0, values)
                best = _nearest(values, count)
                found.append(_middle([str(self._train[at]["answer"]) for at in best], values[best]))
        return found

    def _sentence(self, row: Row) -> str:
        held = sentences(str(row.get("document") or ""))
        if not held:
            return ""
        near = self._by_question.words.transform(held) @ self._by_question.words.transform([question(row)]).T
        return held[int(np.argmax(near.toarray()[:, 0]))]


class _Index:
    """TF-IDF of one text of each training row, by words and phrases of up to `longest` words."""

    def __init__(self, train: Sequence[Row], key: Key, *, longest: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._key = key
        self.words: Any = TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True, token_pattern=_WORD)
        self._table = self.words.fit_transform([key(row) or "nothing" for row in train])

    def nearness(self, rows: Sequence[Row]) -> Floats:
        """The cosine of each row with each training row, (rows, train)."""
        asked = self.words.transform([self._key(row) for row in rows])
        return np.asarray((asked @ self._table.T).toarray(), dtype=np.float64)


def _nearest(values: Floats, count: int) -> npt.NDArray[np.int64]:
    """The places of the greatest values, the first of equals first."""
    if count == 1 or len(values) <= count:
        return np.argsort(-values, kind="stable") if count > 1 else np.array([np.argmax(values)])
    least = np.partition(values, -count)[-count]
    among = np.flatnonzero(values >= least)
    return among[np.argsort(-values[among], kind="stable")][:count]


def _middle(answers: Sequence[str], weights: Floats) -> str:
    """The answer most like the others by weighted token F1; the first of equals."""
    if len(answers) < 3:
        return answers[0] if answers else ""
    known = {pair: token_f1(*pair) for pair in combinations_with_replacement(dict.fromkeys(answers), 2)}
    known |= {(b, a): value for (a, b), value in known.items()}
    likeness = [sum(w * known[answer, other] for other, w in zip(answers, weights, strict=True)) for answer in answers]
    return answers[int(np.argmax(np.round(likeness, 9)))]
