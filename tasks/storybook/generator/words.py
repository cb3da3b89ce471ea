"""The lexicon: nouns, adjectives and verbs with their forms and their Swedish twins, read from YAML.

A line of a noun category is `word[/plural][: adjectives of its own][= sv, definite, plural, definite plural]`,
of adjectives `word[= sv, neuter, plural]`, of verbs `base[/past][= Swedish past]`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tasks.storybook.generator.inflect import article, comparative, past, plural

FOLDER = Path(__file__).parent
_loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Noun:
    word: str
    plural: str
    adjectives: tuple[str, ...]
    swedish: tuple[str, ...]  # ankan's: anka, ankan, ankor, ankorna; empty where there is none

    def form(self, form: str) -> str:
        match form:
            case "s":
                return self.plural
            case "a":
                return f"{article(self.word)} {self.word}"
            case "the":
                return f"the {self.word}"
        index = {"sv": 0, "svdef": 1, "svs": 2, "svdefs": 3}.get(form)
        if index is not None:
            return self.swedish[index]
        if form == "ett":
            return "ett" if self.neuter else "en"
        if form == "den":
            return "det" if self.neuter else "den"
        return self.word

    @property
    def neuter(self) -> bool:
        return bool(self.swedish) and self.swedish[1].endswith("t")


@dataclass(frozen=True, slots=True)
class Adjective:
    word: str
    swedish: tuple[str, ...]  # stor, stort, stora

    def form(self, form: str) -> str:
        match form:
            case "more":
                return comparative(self.word)
            case "a":
                return f"{article(self.word)} {self.word}"
            case "sv" | "svt" | "sva":
                return self.swedish[("sv", "svt", "sva").index(form)]
        return self.word


@dataclass(frozen=True, slots=True)
class Verb:
    base: str
    past: str
    swedish: str

    def form(self, form: str) -> str:
        match form:
            case "base":
                return self.base
            case "sv" if self.swedish:
                return self.swedish
            case "sv":
                raise IndexError(f"{self.base!r} has no Swedish form")
        return self.past


Word: TypeAlias = Noun | Adjective | Verb


def entries(block: str) -> list[str]:
    """The lines of a YAML block that are neither empty nor a comment."""
    return [line for raw in block.splitlines() if (line := raw.strip()) and not line.startswith("#")]


def read_yaml(path: Path) -> Any:
    """One YAML file of the package."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_loader)  # noqa: S506


def _halves(line: str) -> tuple[str, tuple[str, ...]]:
    english, _, swedish = line.partition("=")
    return english.strip(), tuple(form.strip() for form in swedish.split(",")) if swedish else ()


def _noun(line: str, shared: tuple[str, ...]) -> Noun:
    english, swedish = _halves(line)
    head, _, own = english.partition(":")
    word, _, many = head.strip().partition("/")
    adjectives = (*(part.strip() for part in own.split(",") if part.strip()), *shared)
    return Noun(word, many or plural(word), adjectives, swedish)


def _verb(line: str) -> Verb:
    english, swedish = _halves(line)
    base, _, form = english.partition("/")
    return Verb(base, form or past(base), swedish[0] if swedish else "")


def _adjective(line: str) -> Adjective:
    english, swedish = _halves(line)
    return Adjective(english, swedish)


@dataclass(frozen=True)
class Lexicon:
    """Categories of words by name, and the sets that say what a word of a text is."""

    categories: dict[str, tuple[Word, ...]]
    nouns: dict[str, Noun]
    adjectives: dict[str, Adjective]
    verbs: dict[str, Verb]

    def fitting(self, noun: Noun) -> tuple[str, ...]:
        """The adjectives that fit a noun: its own, and those of its categories."""
        found: list[str] = []
        for name in noun.adjectives:
            category = self.categories.get(name)
            found += [name] if category is None else [word.form("") for word in category]
        return tuple(found)


@cache
def lexicon() -> Lexicon:
    """The whole lexicon. Raises ValueError where two categories have one name."""
    categories: dict[str, tuple[Word, ...]] = {}
    for path in sorted((FOLDER / "lexicon").glob("*.yaml")):
        for name, entry in read_yaml(path).items():
            if name in categories:
                raise ValueError(f"{path.name}: there are two categories {name!r}")
            categories[name] = _category(path.stem, entry)
    words = [word for category in categories.values() for word in category]
    nouns: dict[str, Noun] = {}
    for word in words:
        if isinstance(word, Noun) and (word.word not in nouns or len(word.swedish) > len(nouns[word.word].swedish)):
            nouns[word.word] = word
    return Lexicon(
        categories,
        nouns,
        {word.word: word for word in words if isinstance(word, Adjective)},
        {word.past: word for word in words if isinstance(word, Verb)},
    )


def _category(file: str, entry: Any) -> tuple[Word, ...]:
    if file.startswith("noun"):
        shared = tuple(str(entry.get("adjectives", "")).split())
        return tuple(_noun(line, shared) for line in entries(entry["words"]))
    make = _verb if file.startswith("verb") else _adjective
    return tuple(make(line) for line in entries(entry))
