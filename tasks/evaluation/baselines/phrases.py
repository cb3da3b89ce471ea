"""The baseline of translation: a small phrase-based translator learnt from the training pairs.

A sentence that was in the training pairs is answered from memory. Any other is covered from left to right by
phrases of up to five words (Koehn, Och and Marcu 2003, https://aclanthology.org/N03-1017), chosen by a beam
with a bigram model of the target language. The phrases come from word alignments of both directions: IBM
Model 1 (Brown et al. 1993) with a prior for the diagonal (Dyer, Chahuneau and Smith 2013, fast_align).
Words that were never seen are copied.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.evaluation.language import tokens
from tasks.evaluation.rows import Row, source_text

Ints = npt.NDArray[np.int64]
Words = tuple[str, ...]
Links = set[tuple[int, int]]  # (place in the source, place in the target)

_ROUNDS = 6  # of expectation maximisation
_TENSION = 4.0  # how strongly the diagonal is preferred
_NOTHING = 0.08  # the prior of a word that comes from no word of the other side
_LONGEST = 5  # words of a phrase
_OPTIONS = 8  # translations kept of a phrase
_BEAM = 8
_UNKNOWN = -6.0  # log score of a copied word
_START, _END = "<s>", "</s>"
_TUNED_ON = 150  # held-out training pairs on which the weights are chosen
_WEIGHTS = tuple((language, bonus) for language in (0.3, 0.6, 1.0) for bonus in (0.0, 0.7, 1.4))

Table = Mapping[Words, Sequence[tuple[Words, float]]]  # a phrase to its translations with log scores, best first


class PhraseTable:
    """Translates by whole sentences that it remembers, else by phrases."""

    name = "phrases"

    def __init__(self, train: Sequence[Row], *, seed: int) -> None:
        from tasks.evaluation.task_scores import references_of

        pairs = [(source_text(row), text) for row in train for text in references_of(row)]
        held = np.random.default_rng(seed).permutation(len(pairs))[: min(_TUNED_ON, len(pairs) // 5)]
        aside = {pairs[at][0] for at in held}
        sample = [pairs[at] for at in held]
        rest = [pair for pair in pairs if pair[0] not in aside]
        weights = _tuned(_trained(rest), sample) if sample and rest else _WEIGHTS[4]
        self._model = _trained(pairs)
        self._weights = weights
        self.how = f"{len(pairs)} pairs, language weight {weights[0]:g}, word bonus {weights[1]:g}"

    def answers(self, rows: Sequence[Row]) -> list[str]:
        return [self._model.translate(source_text(row), self._weights) for row in rows]

    def probabilities(self, rows: Sequence[Row]) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class _Translator:
    memory: Mapping[Words, str]  # whole sentences
    table: Table
    language: "_Bigrams"

    def translate(self, text: str, weights: tuple[float, float], *, remember: bool = True) -> str:
        source = tuple(tokens(text.lower()))
        if remember and source in self.memory:
            return self.memory[source]
        return _written(self._best(source, _names(text), weights), text)

    def _best(self, source: Words, names: Mapping[str, str], weights: tuple[float, float]) -> Words:
        """The best covering of the source by phrases in its order; a beam at each place by the last word."""
        weight, bonus = weights
        beams: list[dict[str, tuple[float, Words]]] = [{} for _ in range(len(source) + 1)]
        beams[0][_START] = (0.0, ())
        for at in range(len(source)):
            kept = sorted(beams[at].items(), key=lambda item: -item[1][0])[:_BEAM]
            for size in range(1, min(_LONGEST, len(source) - at) + 1):
                beam = beams[at + size]
                for words, cost in self._options(source[at : at + size], names):
                    fixed = cost + bonus * len(words) + weight * self.language.score(words[0], words[1:])
                    for last, (score, said) in kept:
                        reached = score + fixed + weight * self.language.score(last, words[:1])
                        if reached > beam.get(words[-1], (-math.inf, ()))[0]:
                            beam[words[-1]] = (reached, said + words)
        ends = [
            (score + weight * self.language.score(last, (_END,)), said) for last, (score, said) in beams[-1].items()
        ]
        return max(ends, key=lambda found: found[0])[1] if ends else ()

    def _options(self, phrase: Words, names: Mapping[str, str]) -> Sequence[tuple[Words, float]]:
        known = self.table.get(phrase, ())
        if known or len(phrase) > 1:
            return known
        return [((names.get(phrase[0], phrase[0]),), _UNKNOWN)]


def _trained(pairs: Sequence[tuple[str, str]]) -> _Translator:
    cased = _casing([target for _, target in pairs])
    split = [(tuple(tokens(source.lower())), cased_words(target, cased)) for source, target in pairs]
    memory: dict[Words, Counter[str]] = defaultdict(Counter)
    for (source, _), (_, target) in zip(split, pairs, strict=True):
        memory[source][target] += 1
    full = [(source, target) for source, target in split if source and target]
    return _Translator(
        memory={source: found.most_common(1)[0][0] for source, found in memory.items()},
        table=_table(full),
        language=_Bigrams([target for _, target in full]),
    )


def _tuned(model: _Translator, sample: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """The weights with the best chrF on pairs that the model was not trained on."""
    from sacrebleu.metrics import CHRF

    references = [[target for _, target in sample]]

    def reached(weights: tuple[float, float]) -> float:
        said = [model.translate(source, weights) for source, _ in sample]
        return float(CHRF().corpus_score(said, references).score)

    return max(_WEIGHTS, key=reached)


# Case and marks


def _casing(texts: Sequence[str]) -> dict[str, str]:
    """How each word is written inside a sentence, most often."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        words = tokens(text)
        for before, word in pairwise(words):
            if before not in '.!?"“”':
                seen[word.lower()][word] += 1
    return {lower: forms.most_common(1)[0][0] for lower, forms in seen.items()}


def cased_words(text: str, cased: Mapping[str, str]) -> Words:
    """The words of a text as they are written inside a sentence; unknown ones at its start in lower case."""
    words = tokens(text)
    return tuple(cased.get(word.lower(), word.lower() if at == 0 else word) for at, word in enumerate(words))


def _names(text: str) -> dict[str, str]:
    """The words of a source as they are written there, for copying."""
    return {word.lower(): word for word in tokens(text)}


def _written(words: Words, source: str) -> str:
    """Words joined to a sentence: no space before a closing mark, quotation marks in pairs, a capital first."""
    text, open_quote, glue = "", False, True
    for word in words:
        quote = word in '"”“'
        closes = word in ".,!?;:)…" or (quote and open_quote)
        text += word if glue or closes else f" {word}"
        glue = word == "(" or (quote and not open_quote)
        open_quote = open_quote != quote
    first = next((at for at, character in enumerate(text) if character.isalpha()), None)
    starts_large = next((character.isupper() for character in source if character.isalpha()), True)
    if first is not None and starts_large:
        text = text[:first] + text[first].upper() + text[first + 1 :]
    return text


# Alignment


def _table(pairs: Sequence[tuple[Words, Words]]) -> Table:
    """The phrase table of aligned pairs."""
    forward, word_chance = _aligned(pairs)
    backward, other_chance = _aligned([(target, source) for source, target in pairs])
    counts: dict[Words, Counter[Words]] = defaultdict(Counter)
    for (source, target), there, back in zip(pairs, forward, backward, strict=True):
        links = _grown(there, {(i, j) for j, i in back})
        for phrase, translation in _phrases(source, target, links):
            counts[phrase][translation] += 1
    for source_word, target_word in word_chance.best.items():  # one that no phrase of its own was drawn from
        if (source_word,) not in counts:
            counts[(source_word,)][(target_word,)] += 1
    totals: Counter[Words] = Counter()
    for found in counts.values():
        totals.update(found)
    return {phrase: _scored(phrase, found, totals, word_chance, other_chance) for phrase, found in counts.items()}


def _scored(
    phrase: Words, found: Counter[Words], totals: Counter[Words], there: "_WordChances", back: "_WordChances"
) -> list[tuple[Words, float]]:
    """The best translations of a phrase: relative frequencies of both directions, smoothed by their words."""
    whole = found.total()
    scored = []
    for words, count in found.items():
        frequency = math.log(count / (whole + 0.5)) + 0.5 * math.log(count / (totals[words] + 0.5))
        lexical = there.phrase(phrase, words) + back.phrase(words, phrase)
        scored.append((words, 0.7 * frequency + 0.3 * lexical))
    return sorted(scored, key=lambda option: (-option[1], option[0]))[:_OPTIONS]


@dataclass(frozen=True, kw_only=True)
class _WordChances:
    """p(target word | source word), and the best target word of each source word."""

    chance: Mapping[str, Mapping[str, float]]  # by target word, then by source word
    best: Mapping[str, str]

    def phrase(self, source: Words, target: Words) -> float:
        """The log chance that each target word comes from its best source word, per word."""
        total = 0.0
        for word in target:
            known = self.chance.get(word, {})
            total += math.log(max([known[s] for s in source if s in known], default=0.0) + 1e-4)
        return total / max(1, len(target))


def _aligned(pairs: Sequence[tuple[Words, Words]]) -> tuple[list[Links], _WordChances]:
    """The best source word of each target word in every pair, and the chances of words, by EM."""
    sources = {word: at for at, word in enumerate(["", *sorted({w for s, _ in pairs for w in s})])}  # "": from nothing
    targets = {word: at for at, word in enumerate(sorted({w for _, t in pairs for w in t}))}
    source_of, target_of, slot_of, prior, sizes = _cells(pairs, sources, targets)
    keys, cell = np.unique(source_of * len(targets) + target_of, return_inverse=True)
    key_source = keys // len(targets)
    chance = np.full(len(keys), 1 / len(targets))
    slots = int(slot_of[-1]) + 1 if len(slot_of) else 0
    share = np.zeros(len(cell))
    for _ in range(_ROUNDS):
        share = chance[cell] * prior
        share /= np.bincount(slot_of, share, slots)[slot_of]
        counts = np.bincount(cell, share, len(keys))
        chance = counts / np.bincount(key_source, counts, len(sources))[key_source]
    return _links(pairs, share, sizes), _chances(keys, chance, list(sources), list(targets))


def _cells(
    pairs: Sequence[tuple[Words, Words]], sources: Mapping[str, int], targets: Mapping[str, int]
) -> tuple[Ints, Ints, Ints, npt.NDArray[np.float64], list[tuple[int, int]]]:
    """Every possible link of all pairs in a row: its source and target word, its target's slot, its prior."""
    parts: list[tuple[Ints, Ints, Ints, npt.NDArray[np.float64]]] = []
    sizes, slot = [], 0
    shapes: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    for source, target in pairs:
        n, m = len(source) + 1, len(target)
        if (n, m) not in shapes:
            shapes[n, m] = _diagonal(n - 1, m).ravel()
        from_ids = np.array([0, *(sources[word] for word in source)])
        to_ids = np.array([targets[word] for word in target])
        parts.append(
            (np.tile(from_ids, m), np.repeat(to_ids, n), np.repeat(np.arange(slot, slot + m), n), shapes[n, m])
        )
        sizes.append((n, m))
        slot += m
    a, b, c, d = (np.concatenate(column) for column in zip(*parts, strict=True))
    return a, b, c, d, sizes


def _diagonal(source: int, target: int) -> npt.NDArray[np.float64]:
    """The prior of each source place (nothing first) for each target place; (target, source + 1)."""
    i, j = np.arange(1, source + 1) / (source + 1), np.arange(1, target + 1) / (target + 1)
    near = np.exp(-_TENSION * np.abs(i[None, :] - j[:, None]))
    near *= (1 - _NOTHING) / near.sum(axis=1, keepdims=True)
    return np.concatenate([np.full((target, 1), _NOTHING), near], axis=1)


def _links(
    pairs: Sequence[tuple[Words, Words]], share: npt.NDArray[np.float64], sizes: Sequence[tuple[int, int]]
) -> list[Links]:
    found, start = [], 0
    for n, m in sizes:
        best = share[start : start + n * m].reshape(m, n).argmax(axis=1)
        found.append({(int(i) - 1, j) for j, i in enumerate(best) if i > 0})
        start += n * m
    return found


def _chances(keys: Ints, chance: npt.NDArray[np.float64], sources: list[str], targets: list[str]) -> _WordChances:
    kept = np.flatnonzero(chance > 1e-3)
    known: dict[str, dict[str, float]] = defaultdict(dict)
    best: dict[str, tuple[float, str]] = {}
    for at in kept:
        source, target = sources[keys[at] // len(targets)], targets[keys[at] % len(targets)]
        known[target][source] = float(chance[at])
        if source and float(chance[at]) > best.get(source, (0.0, ""))[0]:
            best[source] = (float(chance[at]), target)
    return _WordChances(chance=known, best={word: target for word, (_, target) in best.items()})


def _grown(there: Links, back: Links) -> Links:
    """The links of both directions, then neighbours of theirs that one direction has (grow-diag-final-and)."""
    links, union = there & back, there | back
    rows, columns = {i for i, _ in links}, {j for _, j in links}
    grew = True
    while grew:
        grew = False
        for i, j in sorted(union - links):
            beside = any((i + a, j + b) in links for a in (-1, 0, 1) for b in (-1, 0, 1))
            if beside and (i not in rows or j not in columns):
                links.add((i, j))
                rows.add(i)
                columns.add(j)
                grew = True
    for i, j in sorted(union - links):
        if i not in rows and j not in columns:
            links.add((i, j))
            rows.add(i)
            columns.add(j)
    return links


def _phrases(source: Words, target: Words, links: Links) -> list[tuple[Words, Words]]:
    """All pairs of phrases that no link leaves, with unlinked target words at their edges."""
    found = []
    linked = {j for _, j in links}
    of_source: dict[int, list[int]] = defaultdict(list)
    of_target: dict[int, list[int]] = defaultdict(list)
    for i, j in links:
        of_source[i].append(j)
        of_target[j].append(i)
    for start in range(len(source)):
        for end in range(start + 1, min(start + _LONGEST, len(source)) + 1):
            hit = [j for i in range(start, end) for j in of_source[i]]
            if not hit:
                continue
            low, high = min(hit), max(hit)
            if any(not start <= i < end for j in range(low, high + 1) for i in of_target[j]):
                continue
            for first, last in _widened(low, high, linked, len(target)):
                found.append((source[start:end], target[first : last + 1]))
    return found


def _widened(low: int, high: int, linked: set[int], size: int) -> list[tuple[int, int]]:
    """A span of the target with the unlinked words beside it, up to the longest phrase."""
    found = []
    first = low
    while first >= 0 and (first == low or first not in linked):
        last = high
        while last < size and (last == high or last not in linked) and last - first < _LONGEST + 2:
            found.append((first, last))
            last += 1
        first -= 1
    return found


class _Bigrams:
    """A bigram model with Witten-Bell smoothing."""

    def __init__(self, texts: Sequence[Words]) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._words: Counter[str] = Counter()
        for words in texts:
            marked = (_START, *words, _END)
            self._pairs.update(pairwise(marked))
            self._words.update(marked[1:])
        self._before: Counter[str] = Counter()
        self._follow: Counter[str] = Counter()
        for (before, _), count in self._pairs.items():
            self._before[before] += count
            self._follow[before] += 1
        self._known: dict[tuple[str, str], float] = {}
        self._total = self._words.total() + len(self._words) + 1

    def score(self, last: str, words: Words) -> float:
        """The log probability of words after the last one."""
        total = 0.0
        for word in words:
            total += self._one(last, word)
            last = word
        return total

    def _one(self, last: str, word: str) -> float:
        found = self._known.get((last, word))
        if found is None:
            single, kinds = (self._words[word] + 1) / self._total, self._follow[last]
            chance = (self._pairs[last, word] + kinds * single) / (self._before[last] + kinds) if kinds else single
            found = self._known[last, word] = math.log(chance)
        return found
