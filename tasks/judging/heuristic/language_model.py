"""The judges' own language models: what each word of a text costs in bits.

A word is what stands between blanks, the blank before it included. Legend: W words of a text, T units of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tasks.evaluation.ngram import NgramModel, Order, train_ngram
from tasks.judging.heuristic.params import LanguageModelParams, SubwordNgramParams
from tasks.tokenizer_kinds import load_tokenizer, protect_special_tokens, train_tokenizer

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.generic]]

TOKENIZER = "tokenizer.json"
BATCH_UNITS = 500_000  # of the units that are scored at once
END_BYTE = 0  # no text holds it: the cleaning takes control characters out


@dataclass(frozen=True)
class WordBits:
    """What a text costs: each of its words, (W,), and that it ends where it does."""

    words: Floats
    end: float


class LanguageModel(Protocol):
    """Something that knows what the words of a text cost."""

    def word_bits(self, texts: Sequence[str]) -> list[WordBits]: ...

    def text_bits(self, texts: Sequence[str]) -> Floats:
        """What each text costs, its end not counted; (texts,)."""
        ...

    def arrays(self) -> Arrays:
        """All its numbers by name, for a safetensors file."""
        ...


class Units(Protocol):
    """How a text is cut into the units of an n-gram model."""

    size: int
    end: int

    def cut(self, texts: Sequence[str]) -> list[tuple[Ints, Ints]]:
        """For each text the units' numbers, (T,), and the place in the text of each one's last character, (T,)."""
        ...


class Subwords:
    """The tokens of a tokenizer of the judge's own."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = protect_special_tokens(tokenizer)
        self.size, self.end = tokenizer.get_vocab_size(), 0

    def cut(self, texts: Sequence[str]) -> list[tuple[Ints, Ints]]:
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ends = [np.array([stop - 1 for _, stop in one.offsets], dtype=np.int64) for one in encoded]
        return [(np.array(one.ids, dtype=np.int64), at) for one, at in zip(encoded, ends, strict=True)]


class Bytes:
    """The bytes of a text in UTF-8."""

    size, end = 256, END_BYTE

    def cut(self, texts: Sequence[str]) -> list[tuple[Ints, Ints]]:
        return [_bytes_of(text) for text in texts]


def _bytes_of(text: str) -> tuple[Ints, Ints]:
    ids = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64)
    starts = (ids & 0xC0) != 0x80  # every byte but those that go on with a character
    return ids, np.cumsum(starts) - 1


class Ngrams(NgramModel):
    """An n-gram model that says the cost of each unit."""

    def unit_bits(self, documents: Sequence[Ints]) -> list[Floats]:
        """The cost in bits of each unit of each document, the end's last: (T + 1,) a document."""
        before = np.full(len(self.orders) - 1, self.end, dtype=np.int64)
        after = np.array([self.end], dtype=np.int64)
        parts = [part for document in documents for part in (before, document, after)]
        if not parts:
            return []
        bits = -np.log2(self.probabilities(np.concatenate(parts)))
        lengths = np.array([len(before) + len(document) + 1 for document in documents])
        stops = np.cumsum(lengths)
        return [bits[stop - length + len(before) : stop] for stop, length in zip(stops, lengths, strict=True)]


class NgramLanguageModel:
    """Modified Kneser-Ney over subwords or bytes."""

    def __init__(self, units: Units, model: Ngrams) -> None:
        self.units, self.model = units, model

    def word_bits(self, texts: Sequence[str]) -> list[WordBits]:
        cut = self.units.cut(texts)
        costs: list[Floats] = []
        for batch in _batches([ids for ids, _ in cut]):
            costs += self.model.unit_bits(batch)
        return [by_words(text, places, bits) for text, (_, places), bits in zip(texts, cut, costs, strict=True)]

    def text_bits(self, texts: Sequence[str]) -> Floats:
        documents = [ids for ids, _ in self.units.cut(texts)]
        costs = [bits[:-1].sum() for batch in _batches(documents) for bits in self.model.unit_bits(batch)]
        return np.array(costs, dtype=np.float64)

    def arrays(self) -> Arrays:
        named: Arrays = {}
        for k, order in enumerate(self.model.orders, start=1):
            named[f"keys_{k}"] = order.keys
            named[f"discounted_{k}"] = order.discounted
            named[f"backoff_{k}"] = order.backoff
        return named


def train_language_model(params: LanguageModelParams, texts: Sequence[str]) -> NgramLanguageModel:
    """Trains the model that the parameters name on whole texts."""
    units: Units = Bytes()
    if isinstance(params, SubwordNgramParams):
        size = params.vocabulary_size
        units = Subwords(train_tokenizer(texts, kind="bpe", vocabulary_size=size, pre_tokenizer="gpt-2"))
    documents = [ids for ids, _ in units.cut(texts)]
    trained = train_ngram(documents, order=params.order, vocabulary_size=units.size, end=units.end)
    return NgramLanguageModel(units, Ngrams(vocabulary_size=units.size, end=units.end, orders=trained.orders))


def restore_language_model(
    params: LanguageModelParams, arrays: Mapping[str, npt.NDArray[np.generic]], folder: Path
) -> NgramLanguageModel:
    """The model of which `arrays` are the numbers; folder: where its tokenizer lies, if it has one."""
    units: Units = Subwords(load_tokenizer(folder / TOKENIZER)) if isinstance(params, SubwordNgramParams) else Bytes()
    orders = tuple(
        Order(
            keys=arrays[f"keys_{k}"].astype(np.int64),
            discounted=arrays[f"discounted_{k}"].astype(np.float64),
            backoff=arrays[f"backoff_{k}"].astype(np.float64),
        )
        for k in range(1, params.order + 1)
    )
    return NgramLanguageModel(units, Ngrams(vocabulary_size=units.size, end=units.end, orders=orders))


def by_words(text: str, places: Ints, bits: Floats) -> WordBits:
    """Adds up the units' bits by words. places: (T,) of each unit's last character; bits: (T + 1,), the end's last."""
    inside = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    blank = (inside == 32) | (inside == 10)
    starts = ~blank & np.concatenate([[True], blank[:-1]])  # the first character of each word
    count = int(starts.sum())
    if not count:
        return WordBits(np.zeros(0), float(bits.sum()))
    ahead = np.cumsum(starts)  # at a blank: the words before it
    word = np.where(blank, ahead, ahead - 1)[places]  # a blank belongs to the word after it
    summed = np.bincount(np.minimum(word, count - 1), weights=bits[:-1], minlength=count).astype(np.float64)
    return WordBits(summed, float(bits[-1]))


def _batches(documents: Sequence[Ints]) -> list[list[Ints]]:
    found: list[list[Ints]] = [[]]
    units = 0
    for document in documents:
        if units and units + len(document) > BATCH_UNITS:
            found.append([])
            units = 0
        found[-1].append(document)
        units += len(document)
    return found
