"""The share of a text's long n-grams that stand in evaluation texts (as in GPT-3, arXiv:2005.14165, app. C)."""

import csv
import gzip
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.cleaning.words import Grams, Hashes, distinct_sorted, hash_words, ngrams, split_words
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

_TEXTS_AT_ONCE = 2_000


class EvaluationFiles(Params):
    """Files that evaluation texts stand in; fields: of .jsonl(.gz) and .csv, all of them are read."""

    files: str
    fields: tuple[str, ...] = ()


class ContaminationParams(Params):
    """ngram: words; a text is rejected from max_share of its n-grams upwards."""

    ngram: int = Field(ge=1)
    max_share: float = Field(gt=0, le=1)
    evaluation: tuple[EvaluationFiles, ...]


def index_texts(texts: Iterable[str], n: int) -> Hashes:
    """The sorted distinct n-gram hashes of texts; texts with fewer words than n leave nothing."""
    parts = [np.empty(0, np.uint64)]
    texts = iter(texts)
    while batch := list(islice(texts, _TEXTS_AT_ONCE)):
        parts.append(distinct_sorted(ngrams(hash_words([split_words(text) for text in batch]), n).values))
    return distinct_sorted(np.concatenate(parts))


def shares_in(index: Hashes, words: Grams, n: int) -> NDArray[np.float64]:
    """For each of N texts the share of its n-grams that stand in a sorted index, (N,)."""
    grams = ngrams(words, n)
    if not len(index) or not len(grams.values):
        return np.zeros(len(grams.counts))
    at = np.minimum(np.searchsorted(index, grams.values), len(index) - 1)
    hits = np.bincount(grams.owners, weights=index[at] == grams.values, minlength=len(grams.counts))
    return np.asarray(hits / np.maximum(grams.counts, 1), np.float64)


def evaluation_texts(sources: Sequence[EvaluationFiles], *, key: str = "prepare.contamination") -> Iterator[str]:
    """The texts of evaluation files. key: where params.yaml names them, for errors.

    Raises UserError where a pattern finds no file or a field is missing.
    """
    for source in sources:
        paths = sorted(Path().glob(source.files)) if not Path(source.files).is_absolute() else _absolute(source.files)
        if not paths:
            raise UserError(f"{key}.evaluation: '{source.files}' matches no file")
        for path in paths:
            log.info("evaluation texts of %s", path)
            yield from _texts_of(path, source.fields, key)


def _absolute(pattern: str) -> list[Path]:
    root = Path(Path(pattern).anchor)
    return sorted(root.glob(str(Path(pattern).relative_to(root))))


def _texts_of(path: Path, fields: Sequence[str], key: str) -> Iterator[str]:
    name = path.name.removesuffix(".gz")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        try:
            if name.endswith(".jsonl"):
                yield from _fields_of(path, fields, key, (json.loads(line) for line in file if line.strip()))
            elif name.endswith((".csv", ".tsv")):
                delimiter = "\t" if name.endswith(".tsv") else ","
                yield from _fields_of(path, fields, key, csv.DictReader(file, delimiter=delimiter))
            else:
                yield file.read()
        except (UnicodeDecodeError, json.JSONDecodeError, gzip.BadGzipFile, EOFError) as error:
            raise UserError(f"{path}: can't be read as evaluation text: {error}") from None


def _fields_of(path: Path, fields: Sequence[str], key: str, rows: Iterable[Any]) -> Iterator[str]:
    if not fields:
        raise UserError(f"{key}.evaluation: say which fields of {path} hold text")
    for number, row in enumerate(rows, 1):
        missing = [f for f in fields if not isinstance(row, dict) or f not in row]
        if missing:
            raise UserError(f"{path}:{number}: no field '{missing[0]}'; {key}.evaluation names it")
        yield from (str(row[f]) for f in fields if row[f])
