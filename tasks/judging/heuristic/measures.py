"""What is measured of a text. Every measure is a share, a rate or a mean: none grows with length."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.cleaning.words import hash_words, ngrams, split_words
from tasks.evaluation.language import sentences, stem, tokens
from tasks.judging.heuristic.english import faults_in
from tasks.judging.heuristic.faults import Forms, forms_of, repair_gains
from tasks.judging.heuristic.language_model import Floats, LanguageModel, WordBits
from tasks.judging.heuristic.params import HeuristicParams
from tasks.judging.heuristic.places import Places, early_mentions
from tasks.judging.heuristic.reading import Reading
from tasks.judging.heuristic.reference import Side
from tasks.judging.heuristic.vocabulary import Vocabulary, content_words, misspelt


@dataclass(frozen=True)
class Scale:
    """How a measure is read. bad: its bad end; least: the smallest step, in its own unit; better: how many steps a
    text may gain by being better than the median (none where more of it is not better); free: how many steps off the
    median cost nothing."""

    bad: Side
    least: float
    better: float = 0.0
    free: float = 0.0


MEASURES: Mapping[str, Scale] = {
    "bits_per_letter": Scale("high", 0.1, better=2.0),
    "likelihood": Scale("high", 0.2, better=2.0),  # bits a word, over what the word's frequency costs
    "worst_windows": Scale("high", 0.3, better=2.0),  # the same in the worst windows
    "meeting_place": Scale("high", 2.0),  # the same around the place where prompt and answer meet
    "repairs": Scale("high", 0.02),  # bits a word that small repairs of the likeliest faults would save
    "misspelt_words": Scale("high", 0.01),  # share of the words
    "slips": Scale("high", 0.15),  # of capitals, marks, quotes, articles and doubled words, a sentence
    "broken_rules": Scale("high", 0.1),  # of English grammar, a sentence
    "rare_words": Scale("high", 0.03),  # share of the words
    "unfamiliar_words": Scale("high", 0.03),  # share of the words, names left out, that no known story has
    "word_length": Scale("high", 0.3, free=1.0),  # letters
    "sentence_length": Scale("high", 3.0, free=1.0),  # words
    "order": Scale("low", 0.3, better=2.0),  # bits a sentence for standing where it stands
    "early_mentions": Scale("high", 0.1, better=2.0),  # share of the introductions
    "newcomers": Scale("high", 0.2),  # share of the mentions of persons, after the first, that bring in another one
    "opening_kept": Scale("low", 0.05, better=1.0),  # share of the opening's bits that what follows takes up
    "ending": Scale("high", 2.0, free=0.5),  # bits for ending where it ends
    "closing": Scale("low", 0.5, free=0.5),  # bits that the last sentence speaks for being the last
    "beginning": Scale("high", 1.0),  # as likelihood, of the first words
    "shortness": Scale("low", 20.0, free=1.0),  # words
    "repetition": Scale("high", 0.03),  # share of the 4-grams that stood there before
    "distinct_words": Scale("low", 0.05, free=1.0),  # share of the words in a stretch of 50 that are different ones
    "copied": Scale("high", 0.1, free=1.0),  # share of the long n-grams that stand in the judge's stories
    "fresh_words": Scale("low", 0.5, better=2.0),  # bits by frequency of a word of content, if it is likely there
}
STRETCH_WORDS = 50
BEGINNING_WORDS = 6
AROUND = 2  # words on either side of the place where prompt and answer meet
NO_WORD = 8.0  # bits
FRESH_LIMIT = 2.0  # bits over frequency up to which a word is likely where it stands

_MARKS = re.compile(r"[.!?…:;,][\"'”’)]*$")
_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")  # a name: written with a capital inside a sentence
_FULL_STOP = re.compile(r"[.!?…][\"'”’)]*$")
_ARTICLE = re.compile(r"\b(?:a (?=[aeiou]\w)|an (?=[^aeiouh\W\d]))", re.IGNORECASE)
_ARTICLE_FINE = re.compile(r"a (?:on(?:e|ce)|eu|ew|us[aeu]|uni|uku|ut[ei])", re.IGNORECASE)
_DOUBLED = re.compile(r"\b([a-z']+) \1\b(?! \1)", re.IGNORECASE)
_MAY_DOUBLE_WORDS = (
    "had that very so no yes ha hop knock tick tap drip peck oh far long big many on and really bye hush "
    "there now well round up down over again night click clack beep ding splash"
)
_MAY_DOUBLE = frozenset(_MAY_DOUBLE_WORDS.split())


@dataclass(frozen=True)
class Knowledge:
    """What a judge has learnt from its stories, but for the language model."""

    vocabulary: Vocabulary
    places: Places
    copied: "Copied"

    @cached_property
    def forms(self) -> Forms:
        """The known words by what they are forms of."""
        return forms_of(self.vocabulary.counts)


@dataclass(frozen=True)
class Copied:
    """The word n-grams of the judge's stories, as sorted 64-bit hashes."""

    n: int
    hashes: "np.ndarray[tuple[int], np.dtype[np.uint64]]"

    @classmethod
    def of(cls, texts: Sequence[str], n: int) -> "Copied":
        return cls(n, np.unique(ngrams(hash_words([split_words(text) for text in texts]), n).values))

    def share(self, words: Sequence[str]) -> float:
        found = ngrams(hash_words([words]), self.n).values
        if not len(found) or not len(self.hashes):
            return 0.0
        at = np.minimum(np.searchsorted(self.hashes, found), len(self.hashes) - 1)
        return float(np.mean(self.hashes[at] == found))


def measure_all(
    readings: Sequence[Reading], *, model: LanguageModel, knowledge: Knowledge, params: HeuristicParams
) -> list[dict[str, float]]:
    """All measures of texts that have words, by their names in MEASURES; one mapping a text."""
    told = model.word_bits([reading.whole for reading in readings])
    excess = [excess_bits(one.whole, bits, knowledge.vocabulary) for one, bits in zip(readings, told, strict=True)]
    first = [min(reading.first_word, len(costs) - 1) for reading, costs in zip(readings, excess, strict=True)]
    texts = [reading.whole.split() for reading in readings]
    repairs = repair_gains(texts, excess, first=first, forms=knowledge.forms, model=model)
    return [
        {
            "repairs": repair,
            "fresh_words": fresh_words(reading.whole, costs, start, knowledge.vocabulary),
            **_of_likelihood(reading, bits, costs, start, params),
            **_of_words(reading, knowledge, params),
            **opening_kept(reading, knowledge.vocabulary),
        }
        for repair, reading, bits, costs, start in zip(repairs, readings, told, excess, first, strict=True)
    ]


def _of_likelihood(
    reading: Reading, bits: WordBits, excess: Floats, first: int, params: HeuristicParams
) -> dict[str, float]:
    answer = excess[first:]
    return {
        "bits_per_letter": float(bits.words[first:].sum() + bits.end) / max(1, len(reading.answer)),
        "likelihood": float(answer.mean()),
        "worst_windows": worst_windows(answer, words=params.window_words, share=params.worst_share),
        "meeting_place": float(excess[max(0, first - AROUND) : first + AROUND].mean()),
        "beginning": float(excess[:BEGINNING_WORDS].mean()),
        "ending": bits.end,
    }


def _of_words(reading: Reading, knowledge: Knowledge, params: HeuristicParams) -> dict[str, float]:
    own, vocabulary = reading.words, knowledge.vocabulary
    named = names(reading.whole)
    plain = [word for word in own if word not in named]
    return {
        "misspelt_words": len(misspelt(reading.answer, vocabulary)) / max(1, len(own)),
        "slips": slips(reading),
        "broken_rules": broken_rules(reading),
        "unfamiliar_words": vocabulary.unknown_share(plain),
        "rare_words": len(vocabulary.rare(plain, per_million=params.rare_per_million)) / max(1, len(plain)),
        "word_length": sum(map(len, plain)) / max(1, len(plain)),
        "sentence_length": len(own) / max(1, len(sentences(reading.answer))),
        "order": knowledge.places.gain(reading.sentences),
        "early_mentions": early_mentions(reading.sentences),
        "newcomers": newcomers(reading.whole),
        "closing": knowledge.places.believed_end(reading.sentences),
        "shortness": float(len(reading.whole.split())),
        "repetition": repetition(own),
        "distinct_words": distinct_words(own),
        "copied": knowledge.copied.share(own),
    }


def opening_kept(reading: Reading, vocabulary: Vocabulary) -> dict[str, float]:
    """As a measure of its own; nothing where the answer does not go on with an opening."""
    gain = prompt_gain(reading.whole[: reading.begins], reading.words, vocabulary)
    return {} if gain is None else {"opening_kept": gain}


def excess_bits(text: str, bits: WordBits, vocabulary: Vocabulary) -> Floats:
    """What each word costs the language model over what its frequency alone costs; (W,).

    The syntactic log-odds ratio, by words (Kann et al. 2018, arXiv:1809.08731): a rare word that fits is no fault.
    """
    named = names(text)
    plain = [sum(_plain_bits(part, named, vocabulary) for part in split_words(word)) for word in text.split()]
    return bits.words - np.array(plain[: len(bits.words)], dtype=np.float64)


def _plain_bits(word: str, named: Set[str], vocabulary: Vocabulary) -> float:
    """What a word may cost: one that is no word is not excused for being rare, a new name is."""
    if word in named or vocabulary.knows(word):
        return vocabulary.bits(word)
    return NO_WORD


def worst_windows(costs: Floats, *, words: int, share: float) -> float:
    """The mean of the costliest windows of so many words; of a short text its only one."""
    if len(costs) <= words:
        return float(costs.mean())
    total = np.concatenate([[0.0], np.cumsum(costs)])
    windows = np.sort((total[words:] - total[:-words]) / words)[::-1]
    return float(windows[: max(1, round(share * len(windows)))].mean())


def slips(reading: Reading) -> float:
    """Sentences without a capital or a mark, quotes that don't close, a for an, doubled words; a sentence."""
    told = sentences(reading.answer)
    if not told:
        return 0.0
    fits = reading.begins > 0  # the answer may go on in the middle of a sentence
    small = sum(sentence.lstrip("\"'“‘(")[:1].islower() for sentence in told[1 if fits else 0 :])
    open_end = sum(not _MARKS.search(sentence) for sentence in told)
    quotes = sum(paragraph.count('"') % 2 for paragraph in reading.whole.split("\n"))
    articles = sum(not _ARTICLE_FINE.match(reading.answer[m.start() :]) for m in _ARTICLE.finditer(reading.answer))
    doubled = sum(m[1].lower() not in _MAY_DOUBLE for m in _DOUBLED.finditer(reading.answer))
    unfinished = not open_end and not _FULL_STOP.search(reading.answer)
    return (small + open_end + quotes + articles + doubled + unfinished) / len(told)


def broken_rules(reading: Reading) -> float:
    """Faults that rules of English grammar are sure of; a sentence."""
    told = reading.own_sentences
    return len(faults_in(told)) / len(told) if told else 0.0


def newcomers(text: str) -> float:
    """The share of the mentions of persons, by name or kinship, that bring in another one; the first is not counted.

    A story keeps to its few persons; a model that has lost the thread has somebody new in each sentence.
    """
    persons = {name.lower() for name in _INSIDE.findall(text)} | _KIN
    told = [word for word in split_words(text) if word in persons]
    return (len(set(told)) - 1) / (len(told) - 1) if len(told) > 1 else 0.0


def repetition(words: Sequence[str], *, n: int = 4) -> float:
    """The share of the n-grams that stood in the text before (Welleck et al. 2019, arXiv:1908.04319, seq-rep-n)."""
    grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_words(words: Sequence[str]) -> float:
    """The share of different words in a moving stretch (Covington and McFall 2010, MATTR): length doesn't count."""
    size = min(STRETCH_WORDS, len(words))
    if not size:
        return 0.0
    step = max(1, size // 5)
    shares = [len(set(words[at : at + size])) / size for at in range(0, len(words) - size + 1, step)]
    return sum(shares) / len(shares)


def fresh_words(text: str, excess: Floats, first: int, vocabulary: Vocabulary) -> float:
    """Bits by frequency of those words of content that are likely where they stand, over all words of content."""
    seen: dict[str, float] = {}
    for chunk, cost in zip(text.split()[first:], excess[first:], strict=False):
        for word in content_words(split_words(chunk)):
            is_fresh = cost < FRESH_LIMIT and vocabulary.knows(word)
            seen.setdefault(word, vocabulary.bits(word) if is_fresh else 0.0)
    return sum(seen.values()) / len(seen) if seen else 0.0


_KIN_WORDS = (
    "mother father mom dad mum mama papa mummy daddy grandmother grandfather grandma grandpa granny sister "
    "brother aunt uncle cousin baby neighbor neighbour teacher farmer king queen"
)
_KIN = frozenset(_KIN_WORDS.split())


def prompt_gain(prompt: str, answer_words: Sequence[str], vocabulary: Vocabulary) -> float | None:
    """The share of the bits of the prompt's content words that the answer takes up; None where it has none.

    A cache model (Kuhn and De Mori 1990): knowing the prompt, a word of it is drawn from it and hardly costs
    anything. Each word of the prompt counts once, however often it stands in the answer, and as its stem.
    """
    wanted = {stem(word): vocabulary.bits(word) for word in content_words(split_words(prompt)) if word not in _ASKING}
    if not wanted:
        return None
    cost = float(np.log2(len(wanted) + 1))  # to say which word of the prompt
    total = sum(max(0.0, bits - cost) for bits in wanted.values())
    said = {stem(word) for word in set(answer_words)}
    return sum(max(0.0, bits - cost) for word, bits in wanted.items() if word in said) / total if total else None


_ASKING_WORDS = (
    "write tell story stories word words sentence short long feeling use uses using include including please "
    "child children old year years feature features summary following simple create paragraph begin beginning "
    "end"
)
_ASKING = frozenset(_ASKING_WORDS.split())


def names(text: str) -> set[str]:
    """Words that are only ever written with a capital, in lower case."""
    found = tokens(text)
    lower = {word for word in found if word[0].islower()}
    return {
        split_words(word)[0] for word in found if word[0].isupper() and word.lower() not in lower and split_words(word)
    }
