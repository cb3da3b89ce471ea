"""Synonyms for METEOR, out of a WordNet that the user has; nothing is fetched."""

import contextlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from tasks.stage import UserError

_FILES = ("lexnames", *(f"{kind}.{part}" for kind in ("index", "data") for part in ("noun", "verb", "adj", "adv")))


class NoSynonyms:
    """In the place of a WordNet reader: no word has a synonym."""

    def synsets(self, _: str) -> list[Any]:
        return []


def check_wordnet(folder: Path | None) -> None:
    """Raises UserError where a folder is named and holds no WordNet."""
    missing = [name for name in _FILES if folder is not None and not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"evaluate.tasks.wordnet: {folder} holds no WordNet, it has no {missing[0]}; allowed: the folder `dict` "
            "of a WordNet, or nothing"
        )


def synonyms(folder: Path | None) -> Any:
    """What NLTK's METEOR asks for synonyms: a reader of the WordNet in the folder; None: no word has one.

    Raises UserError where there is no WordNet, or it can't be read.
    """
    return NoSynonyms() if folder is None else _read(folder)


@cache
def _read(folder: Path) -> Any:
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader, WordNetError

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """NLTK's reader without its map to the WordNet that NLTK downloads, which is for other languages."""

        def map_wn(self, version: str = "wordnet") -> None:
            return None

        def open(self, file: str) -> Any:
            return opened.enter_context(contextlib.closing(super().open(file)))

    check_wordnet(folder)
    root = str(folder.resolve())
    if root not in nltk.data.path:
        nltk.data.path.append(root)  # NLTK reads nothing outside of these
    opened = contextlib.ExitStack()  # NLTK leaves a file open that it cannot read
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no other languages
            return Reader(root, omw_reader=None)
    except (OSError, ValueError, AssertionError, StopIteration, WordNetError) as error:
        opened.close()
        raise UserError(f"evaluate.tasks.wordnet: {folder} can't be read as a WordNet: {error}") from error
