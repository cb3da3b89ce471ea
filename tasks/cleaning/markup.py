"""Mark-up removed where there is any (Beautiful Soup): tags, scripts, entities, adverts, navigation lines."""

import html
import re
from typing import TYPE_CHECKING

from pydantic import field_validator

from tasks.stage import Params

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|<![a-zA-Z]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_EDGE = "\x1e"  # of a block; no text has this separator
_EDGES = re.compile(r"\s*\x1e[\s\x1e]*")
_ESCAPED_TWICE = 3  # as deep as entities are unwrapped
_WITHOUT_CONTENT = re.compile(
    r"^(?:script|style|noscript|template|svg|iframe|object|form|button|select|nav|header|footer|aside|head)$"
)
_BLOCKS = re.compile(
    r"^(?:address|article|blockquote|dd|div|dl|dt|fieldset|figure|h[1-6]|hr|li|main|ol|p|pre|section|table|td|th|tr|ul)$"
)


class LineRule(Params):
    """A line that is not part of a text. `has`: lower-case text it holds; `pattern`: matches the whole line."""

    has: str
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)


class MarkupParams(Params):
    """What is taken out beside the tags. Patterns are searched without regard to case."""

    advert_link: str
    advert_text: str
    navigation_lines: tuple[LineRule, ...]

    @field_validator("advert_link", "advert_text")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)


def checked_pattern(pattern: str) -> str:
    """The pattern itself. Raises ValueError if it is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
    return pattern


class Markup:
    """Removes mark-up by the given parameters."""

    def __init__(self, params: MarkupParams) -> None:
        self._advert_link = re.compile(params.advert_link, re.IGNORECASE)
        self._advert_text = re.compile(params.advert_text, re.IGNORECASE)
        self._lines = [(rule.has, re.compile(rule.pattern, re.IGNORECASE)) for rule in params.navigation_lines]

    def remove(self, text: str) -> tuple[str, bool]:
        """The text without tags, entities, scripts and adverts; and whether there were any."""
        found = False
        for _ in range(_ESCAPED_TWICE):
            if "<" in text and _TAG.search(text):
                text = self._without_tags(text)
            elif "&" in text and _ENTITY.search(text):
                text = html.unescape(text)
            else:
                break
            found = True
        return text, found

    def without_navigation(self, text: str) -> tuple[str, int]:
        """The text without the lines of a page around it; and how many lines went."""
        lowered = text.lower()
        patterns = [pattern for has, pattern in self._lines if has in lowered]
        if not patterns:
            return text, 0
        lines = text.split("\n")
        kept = [line for line in lines if not any(pattern.fullmatch(line.strip()) for pattern in patterns)]
        return "\n".join(kept), len(lines) - len(kept)

    def _without_tags(self, text: str) -> str:
        from bs4 import BeautifulSoup, Comment, Declaration, Doctype

        soup = BeautifulSoup(text, "html.parser")
        for tag in soup.find_all(_WITHOUT_CONTENT):
            tag.decompose()
        for note in soup.find_all(string=lambda s: isinstance(s, Comment | Declaration | Doctype)):
            note.extract()
        self._drop_adverts(soup)
        for line_break in soup.find_all("br"):
            line_break.replace_with("\n")
        for block in soup.find_all(_BLOCKS):
            block.insert_before(_EDGE)
            block.insert_after(_EDGE)
        return _EDGES.sub("\n", soup.get_text())

    def _drop_adverts(self, soup: "BeautifulSoup") -> None:
        for link in soup.find_all("a"):
            target = str(link.get("href") or "")
            if self._advert_link.search(target) or self._advert_text.search(link.get_text()):
                _drop_with_blank(link)


def _drop_with_blank(tag: "Tag") -> None:
    """Drops a tag; blanks between it and the next tag are the page's, not the text's ("want<a>..</a> <b>ed")."""
    from bs4 import NavigableString

    after = tag.next_sibling
    if isinstance(after, NavigableString) and not after.strip() and after.next_sibling is not None:
        after.extract()
    tag.decompose()
