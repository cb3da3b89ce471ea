"""Unicode and white space: NFC, repaired mojibake, straight quotes, one blank between words."""

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from tasks.stage import Params

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

REPLACEMENT = "\ufffd"

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u2060\ufeff]")
_BLANKS = re.compile(r"[^\S\n]+")
_LINE_ENDS = ("\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
_ODD_BLANKS = (*"\t\x1c\x1d\x1e\x1f\xa0\u1680\u202f\u205f\u3000", *map(chr, range(0x2000, 0x200B)))
_UNTIDY = ("  ", "\n\n\n", " \n", "\n ", *_ODD_BLANKS)
_AROUND_BREAK = re.compile(r" ?\n ?")
_BREAKS = re.compile(r"\n{3,}")
# such text is never mojibake, which always has a letter or sign from beyond these
_UNSUSPICIOUS = re.compile(r"[\x00-\x7f\u2010-\u2015\u2018-\u201f\u2026]*")
_QUOTES = dict(zip("\u2018\u2019\u201b\u02bc\u201c\u201d\u201e\u201f", "''''\"\"\"\"", strict=True))


class TextParams(Params):
    """How characters are made uniform."""

    straight_quotes: bool


def repair(text: str, *, straight_quotes: bool) -> tuple[str, bool]:
    """The text in NFC without control characters and mojibake; and whether mojibake was repaired (ftfy).

    What can't be repaired stays: look for `REPLACEMENT` and ask `is_broken`.
    """
    if text.isascii():
        return _without_control(text), False
    if is_broken(text):
        import ftfy

        fixed = ftfy.fix_text(text, _fixer(straight_quotes))
        return _without_control(fixed), True
    if straight_quotes:
        for curly, straight in _QUOTES.items():  # eight searches are faster than one translate of wide text
            text = text.replace(curly, straight)
    return unicodedata.normalize("NFC", _without_control(text)), False


def is_broken(text: str) -> bool:
    """Whether characters stand together as they do only in wrongly decoded text (ftfy's heuristic)."""
    if text.isascii() or _UNSUSPICIOUS.fullmatch(text):
        return False
    from ftfy.badness import is_bad

    return bool(is_bad(text))


def tidy(text: str) -> str:
    """One blank between words, none at line ends, at most one empty line between paragraphs."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    for end in _LINE_ENDS:
        text = text.replace(end, "\n")
    text = text.strip()
    if not any(mark in text for mark in _UNTIDY):  # substrings are found some ten times faster than a pattern
        return text
    text = _AROUND_BREAK.sub("\n", _BLANKS.sub(" ", text))
    return _BREAKS.sub("\n\n", text).strip()


def _without_control(text: str) -> str:
    return _CONTROL.sub("", text) if _CONTROL.search(text) else text


@lru_cache(maxsize=2)
def _fixer(straight_quotes: bool) -> "TextFixerConfig":
    from ftfy import TextFixerConfig

    # entities are mark-up here, and left to that module
    return TextFixerConfig(unescape_html=False, uncurl_quotes=straight_quotes, normalization="NFC", explain=False)
