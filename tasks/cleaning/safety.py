"""The child-safety filter: a lexicon with inflections, rules and allowed phrases, all of them in params.yaml."""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from tasks.cleaning.markup import checked_pattern
from tasks.cleaning.words import split_words
from tasks.stage import Excerpt, Params, load_params

EXACT = "="  # before a lexicon word: only this form of it
_VOWELS = "aeiou"
_MASK = " . "  # ends a phrase, is no word


def _split(words: Any) -> Any:
    if isinstance(words, str):
        return tuple(map(str.strip, words.split(",")))
    return tuple(words) if isinstance(words, list) else words


# a list, or in params.yaml one text "a, b, c": DVC reads that file once a stage, and 700 words are 700 values
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


class SafetyRule(Params):
    """A pattern, searched only where one of the `when` words stands in the text, and one of `also` if given.

    Patterns are slow and words are looked up in a set: most texts meet no pattern.
    """

    when: Words
    also: Words = ()
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return checked_pattern(pattern)

    @field_validator("when", "also")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return _checked_words(words)

    @field_validator("when")
    @classmethod
    def _has_words(cls, when: tuple[str, ...]) -> tuple[str, ...]:
        if not when:
            raise ValueError("give at least one word")
        return when


class SafetyCategory(Params):
    """What a child's text must not hold. `words` with regular inflections, or as they are after a "="."""

    action: Literal["reject", "allow"]
    words: Words = ()
    rules: tuple[SafetyRule, ...] = ()

    @field_validator("words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return _checked_words(words)


class SafetyParams(Params):
    """The policy. `allowed`: patterns of phrases that are left out before anything is judged."""

    allowed: tuple[str, ...]
    categories: dict[str, SafetyCategory]

    @field_validator("allowed")
    @classmethod
    def _compile(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_pattern(pattern) for pattern in allowed)

    @field_validator("categories")
    @classmethod
    def _names(cls, categories: dict[str, SafetyCategory]) -> dict[str, SafetyCategory]:
        for name in categories:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"category '{name}' is not snake_case")
        return categories


class _Prepare(Excerpt):
    safety: SafetyParams


def safety_policy() -> SafetyParams:
    """The policy of the section `prepare` in params.yaml. Raises UserError where it is none."""
    return load_params(_Prepare, "prepare").safety


def _checked_words(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        bare = word.removeprefix(EXACT)
        if split_words(bare) != [bare]:
            raise ValueError(f"'{word}' is not one lower-case word; write phrases as a rule's pattern")
    return words


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with a text and the place that shows it."""

    category: str
    shown: str


@dataclass(frozen=True, kw_only=True)
class _Rule:
    category: str
    when: frozenset[str]
    also: frozenset[str]
    pattern: re.Pattern[str]


def _pattern(rule: SafetyRule) -> re.Pattern[str]:
    return re.compile(rule.pattern, re.IGNORECASE)


class Safety:
    """The policy made ready: a set look-up for most texts, patterns for the few that need them."""

    def __init__(self, params: SafetyParams) -> None:
        active = {name: c for name, c in params.categories.items() if c.action == "reject"}
        self._category_of = {
            form: name for name, category in active.items() for word in category.words for form in inflections(word)
        }
        self._rules = [
            _Rule(category=name, when=frozenset(rule.when), also=frozenset(rule.also), pattern=_pattern(rule))
            for name, category in active.items()
            for rule in category.rules
        ]
        self._suspects = frozenset(self._category_of).union(*(rule.when for rule in self._rules))
        self._allowed = re.compile("|".join(f"(?:{p})" for p in params.allowed) or r"(?!)", re.IGNORECASE)

    def check(self, text: str, words: Sequence[str]) -> Finding | None:
        """The first finding in the order of the policy, or None. words: `split_words(text)`."""
        suspects = self._suspects.intersection(words)
        if not suspects:
            return None
        text = text.replace("\u2019", "'")
        if next(self._findings(text, suspects, words), None) is None:
            return None
        # the allowed phrases are many and slow to search: only where something was found
        return next(self._findings(self._allowed.sub(_MASK, text), suspects, words), None)

    def _findings(self, text: str, suspects: Set[str], words: Sequence[str]) -> Iterator[Finding]:
        for word in sorted(suspects):
            if word in self._category_of and (match := _whole_word(word).search(text)):
                yield Finding(category=self._category_of[word], shown=match[0].lower())
        for rule in self._rules:
            if rule.when.isdisjoint(suspects) or (rule.also and rule.also.isdisjoint(words)):
                continue
            if match := rule.pattern.search(text):
                yield Finding(category=rule.category, shown=" ".join(match[0].lower().split()))


@lru_cache(maxsize=4096)
def _whole_word(word: str) -> re.Pattern[str]:
    """The word, or its possessive ("gun's" is split as "guns"), but not "he'll" for "hell"."""
    possessive = rf"|\b{word[:-1]}'s\b" if word.endswith("s") else ""
    return re.compile(rf"(?<!')\b{word}\b{possessive}", re.IGNORECASE)


def inflections(word: str) -> set[str]:
    """The regular forms of a noun or verb: plural, -s, -ed, -ing, -er; only the word itself after "="."""
    if word.startswith(EXACT):
        return {word.removeprefix(EXACT)}
    stem = _verb_stem(word)
    plural = _plural(word)
    e = "" if word.endswith("e") else "e"
    verbs = {f"{stem}ed" if e else f"{word}d", f"{stem}ing", f"{stem}er" if e else f"{word}r"}
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        verbs = {f"{word[:-1]}ied", f"{word}ing", f"{word[:-1]}ier"}
    return {word, plural, *verbs, *(f"{form}s" for form in verbs if form.endswith("r"))}


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"


def _verb_stem(word: str) -> str:
    """What -ing is put to: without a last e, or with a last consonant doubled ("stab", "gun")."""
    if word.endswith("e"):
        return word[:-1]
    short = re.fullmatch(rf"[^{_VOWELS}]*[{_VOWELS}][^{_VOWELS}wxy]", word)
    return word + word[-1] if short else word
