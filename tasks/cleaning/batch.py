"""The first pass over a batch of texts: repaired, judged, signed. It knows no file and no other batch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.cleaning import quality
from tasks.cleaning.contamination import ContaminationParams, shares_in
from tasks.cleaning.duplicates import DuplicateParams, Signatures, sign
from tasks.cleaning.markup import Markup, MarkupParams
from tasks.cleaning.quality import CharacterParams, Characters, LengthParams, RepetitionParams
from tasks.cleaning.safety import Safety, SafetyParams
from tasks.cleaning.text import REPLACEMENT, TextParams, is_broken, repair, tidy
from tasks.cleaning.words import Grams, Hashes, hash_words, ngrams, split_words, text_hash
from tasks.stage import Params

_FAR_TOO_LONG = 4  # times the limit: mark-up can't explain it, so no time is spent on it

Verdict = tuple[str, str]  # reason and detail; ("", "") passes


class CleaningParams(Params):
    """What a text is changed by and measured against."""

    text: TextParams
    markup: MarkupParams
    length: LengthParams
    characters: CharacterParams
    repetition: RepetitionParams
    safety: SafetyParams
    contamination: ContaminationParams
    duplicates: DuplicateParams


@dataclass(frozen=True, kw_only=True)
class CleanBatch:
    """N texts after cleaning (a rejected one as it came in), their verdicts and the passing ones' signatures."""

    texts: list[str]
    verdicts: list[Verdict]
    signatures: Signatures
    counts: Counter[str]


class Cleaner:
    """Cleans batches; the same batch always gives the same result."""

    def __init__(self, params: CleaningParams, evaluation: Hashes) -> None:
        self._params = params
        self._evaluation = evaluation
        self._markup = Markup(params.markup)
        self._characters = Characters(params.characters)
        self._safety = Safety(params.safety)

    def clean(self, texts: Sequence[str], *, is_evaluation: Sequence[bool]) -> CleanBatch:
        """Cleans N texts. is_evaluation: (N,), texts that are themselves evaluation text."""
        counts: Counter[str] = Counter()
        cleaned = list(texts)
        verdicts: list[Verdict] = []
        for i, text in enumerate(texts):
            result = self._repaired(text, counts)
            verdicts.append(("", "") if isinstance(result, str) else result)
            cleaned[i] = result if isinstance(result, str) else text
        passing = [i for i, verdict in enumerate(verdicts) if not verdict[0]]
        words = [split_words(cleaned[i]) for i in passing]
        grams = hash_words(words)
        judged = self._judge([cleaned[i] for i in passing], words, grams, [is_evaluation[i] for i in passing])
        for i, verdict in zip(passing, judged, strict=True):
            verdicts[i] = verdict
            cleaned[i] = texts[i] if verdict[0] else cleaned[i]
        signatures = self._sign(words, grams, judged)
        return CleanBatch(texts=cleaned, verdicts=verdicts, signatures=signatures, counts=counts)

    def _repaired(self, text: str, counts: Counter[str]) -> str | Verdict:
        """The clean text, or why there is none."""
        limit = self._params.length.max_characters * _FAR_TOO_LONG
        if len(text) > limit:
            return "too_long", f"{len(text)} characters, at most {self._params.length.max_characters}"
        text, had_markup = self._markup.remove(text)
        text, was_broken = repair(text, straight_quotes=self._params.text.straight_quotes)
        if REPLACEMENT in text:
            return "replacement_characters", f"{text.count(REPLACEMENT)} of them"
        if is_broken(text):
            return "mojibake", "could not be repaired"
        text, lines = self._markup.without_navigation(tidy(text))
        text = tidy(text)
        if not text:
            return "empty", "nothing is left after cleaning"
        counts["markup_removed"] += had_markup
        counts["mojibake_repaired"] += was_broken
        counts["navigation_lines_removed"] += lines
        return text

    def _judge(
        self, texts: list[str], words: list[list[str]], grams: Grams, is_evaluation: list[bool]
    ) -> list[Verdict]:
        repetition = quality.repetition_problems(texts, grams, self._params.repetition)
        n = self._params.contamination.ngram
        shares = shares_in(self._evaluation, grams, n)
        verdicts = []
        for i, text in enumerate(texts):
            verdict = quality.length_problem(text, len(words[i]), self._params.length)
            verdict = verdict or self._characters.problem(text, words[i])
            if not verdict and repetition[i]:
                verdict = "repetition", repetition[i]
            if not verdict and (finding := self._safety.check(text, words[i])):
                verdict = "unsafe", f"{finding.category}: {finding.shown}"
            if not verdict and not is_evaluation[i] and shares[i] >= self._params.contamination.max_share:
                verdict = "contaminated", f"{shares[i]:.0%} of its {n}-grams stand in evaluation texts"
            verdicts.append(verdict or ("", ""))
        return verdicts

    def _sign(self, words: list[list[str]], grams: Grams, verdicts: list[Verdict]) -> Signatures:
        keep = np.fromiter((not reason for reason, _ in verdicts), np.bool_, len(verdicts))
        exact = np.array([text_hash(w) for w, kept in zip(words, keep, strict=True) if kept], np.uint64)
        shingles = ngrams(grams.select(keep), self._params.duplicates.shingle_words)
        return sign(shingles, exact, self._params.duplicates)
