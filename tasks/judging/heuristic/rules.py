"""Patterns and deeds in YAML beside this module: what no child's story may hold."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tasks.evaluation.language import sentences

DANGERS = Path(__file__).with_name("dangers.yaml")
WITHIN = 8  # words between what is done and what it is done to, where a rule says nothing else
AS_IT_IS = "="  # before a word that stands for itself, not for all its forms
WARNED_WITHIN = 5  # words before the verb in which a warning stands


@dataclass(frozen=True)
class Deed:
    """Something dangerous to do: verb and thing in one order, and what the sentence must hold besides."""

    kind: str
    does: frozenset[str]  # the first words of its verbs
    things: frozenset[str]  # the first words of its things
    pattern: re.Pattern[str]
    besides: re.Pattern[str] | None
    warned: bool  # whether it counts behind a "not" too


@dataclass(frozen=True)
class _Dangers:
    patterns: Mapping[str, re.Pattern[str]]
    deeds: tuple[Deed, ...]
    by_verb: Mapping[str, tuple[int, ...]]  # which deeds a verb's form may begin
    warnings: re.Pattern[str]
    cautions: re.Pattern[str]


def danger(text: str) -> str | None:
    """The first danger found, as "name (the words)"; None where there is none."""
    held, text = _dangers(), text.replace("’", "'")  # the patterns' guards look for "n't"
    for name, pattern in held.patterns.items():
        for match in pattern.finditer(text):
            if not held.cautions.search(_plain(_around(text, match.start(), match.end()))):
                return f"{name} ({' '.join(match[0].lower().split())})"
    for sentence in sentences(text):
        if found := _deed(sentence, held):
            return found
    return None


def _deed(sentence: str, held: _Dangers) -> str | None:
    """The first dangerous deed of a sentence that does not warn of it."""
    plain = _plain(sentence)
    words = frozenset(plain.split())
    begun = sorted({at for word in words & held.by_verb.keys() for at in held.by_verb[word]})
    for deed in (held.deeds[at] for at in begun):
        if words.isdisjoint(deed.things) or (deed.besides and not deed.besides.search(plain)):
            continue
        for match in deed.pattern.finditer(plain):
            before = " ".join(plain[: match.start()].split()[-WARNED_WITHIN:])
            if deed.warned or not (held.warnings.search(before) or held.cautions.search(plain)):
                return f"{deed.kind} ({match[0]})"
    return None


def _plain(sentence: str) -> str:
    """The words of a sentence, with blanks between and the ends of contractions apart."""
    return " ".join(_WORD.findall(_ENDING.sub(r" \1", sentence.lower())))


def _around(text: str, start: int, end: int) -> str:
    """The sentence that a place of a text lies in."""
    first = max(text.rfind(mark, 0, start) for mark in ".!?\n") + 1
    after = [at for mark in ".!?\n" if (at := text.find(mark, end)) >= 0]
    return text[first : min(after, default=len(text))]


_WORD = re.compile(r"n't|'\w+|[^\W_]+(?:-[^\W_]+)*")
_ENDING = re.compile(r"(n't|'(?:s|re|ve|ll|d|m))\b")


@cache
def _dangers() -> _Dangers:
    document = yaml.safe_load(DANGERS.read_text(encoding="utf-8"))
    deeds = tuple(_made(kind, rule) for kind, rules in document["deeds"].items() for rule in rules)
    verbs = sorted({verb for deed in deeds for verb in deed.does})
    return _Dangers(
        patterns={
            kind: re.compile("|".join(f"(?:{_filled(rule, document['parts'])})" for rule in rules), re.IGNORECASE)
            for kind, rules in document["rules"].items()
        },
        deeds=deeds,
        by_verb={verb: tuple(at for at, deed in enumerate(deeds) if verb in deed.does) for verb in verbs},
        warnings=_any_of(document["warnings"]),
        cautions=_any_of(document["cautions"]),
    )


def _made(kind: str, rule: Mapping[str, Any]) -> Deed:
    verb, thing = (f"(?:{_alternatives(rule[part])})" for part in ("does", "with"))
    between = rf"(?: \S+){{0,{rule.get('within', WITHIN)}}}?"
    return Deed(
        kind=kind,
        does=_first_words(rule["does"]),
        things=_first_words(rule["with"]),
        pattern=re.compile(rf"(?<!\S){verb}{between} {thing}(?!\S)"),
        besides=_any_of(rule["and"]) if "and" in rule else None,
        warned=bool(rule.get("warned")),
    )


def _any_of(entries: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{_alternatives(entries)})(?!\S)")


def _alternatives(entries: Iterable[str]) -> str:
    return "|".join(" ".join(f"(?:{'|'.join(map(re.escape, _forms(word)))})" for word in e.split()) for e in entries)


def _first_words(entries: Iterable[str]) -> frozenset[str]:
    return frozenset(form for entry in entries for form in _forms(entry.split()[0]))


@cache
def _forms(word: str) -> tuple[str, ...]:
    """All forms of a word, the word first; only itself after "=" or where it is no noun or verb."""
    from lemminflect import getAllInflections, getAllInflectionsOOV

    if word.startswith(AS_IT_IS) or not word.isalpha() or word in _GRAMMAR_WORDS:
        return (word.removeprefix(AS_IT_IS),)
    known = getAllInflections(word)
    if "MD" in known:  # dare, need: a modal in the lexicon, which has no forms
        known = getAllInflectionsOOV(word, "VERB")
    found = {form for tag, forms in known.items() if tag[:2] in ("NN", "VB") for form in forms}
    return (word, *sorted(found - {word}))


_GRAMMAR_WORDS = frozenset(
    "a an the he she it they we i you him her them his their its my your our me in on of off at to by with into from "  # noqa: SIM905
    "under over out up down no not never and or if as so all who".split()
)


def _filled(rule: str, parts: Mapping[str, str]) -> str:
    for name, pattern in parts.items():
        rule = rule.replace(f"<{name}>", pattern)
    return rule
