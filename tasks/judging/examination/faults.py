"""Generators of one fault each: a story, and the same story with a fault of a known kind put in by rules.

A generator gives None where a story has too few places for its fault. Words that a request asks for are left
alone, so that no fault can be told by counting them.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

from tasks.cleaning.words import split_words
from tasks.evaluation.language import same_word, sentences
from tasks.judging.examination.stories import Story
from tasks.storybook.generator.inflect import IRREGULAR_PAST, article, past, plural, third_person


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a generator may look at beside the story. faults: how many it puts in, where they can be counted."""

    faults: int
    others: Sequence[Story]
    vocabulary: frozenset[str]  # of all the stories
    countable: frozenset[str]  # words that stand right after "a" or "an" somewhere


@dataclass(frozen=True)
class Edit:
    """Characters start to end of a text replaced by another text."""

    start: int
    end: int
    text: str


Generator = Callable[[Story, Setting, random.Random], str | None]

_CONDITION = re.compile(r"\b(?:if|wish|wished|though|unless|there|neither|none|either)\b[^.!?]*$", re.IGNORECASE)
_FLIPPED = {"was": "were", "were": "was", "is": "are", "are": "is", "has": "have", "doesn't": "don't"}
_BE_OR_HAVE = re.compile(r"\b(?:was|were|is|are|has|doesn't)\b")
_HAVE = re.compile(r"\b(?:[Tt]hey|[Ww]e|I) (have|don't)\b")
_PRESENT = re.compile(r"\b(?:[Hh]e|[Ss]he|[Ii]t) ([a-z]+s)\b")
_MANY = re.compile(r"\b(?:two|three|four|five|six|seven|ten|many|these|those|several|both) ([a-z]{3,}s)\b")
_AUXILIARY = re.compile(
    r"\b(?:did not|didn't|could|could not|couldn't|would|wouldn't|can|can't|will|must|should) ([a-z]+)\b"
)
_PAST = re.compile(r"\b[a-z]+\b")
_REGULAR_PAST = re.compile(r"\b(?:[Hh]e|[Ss]he|[Tt]hey|[Ww]e|I) ([a-z]{2,}ed)\b")
_TWO_READINGS = frozenset({"saw", "felt", "left", "fell", "lay", "bit", "rose", "lit", "meant", "was", "had", "did"})
_INDEFINITE = re.compile(
    r"\b(?<![Ss]uch )(?<![Ww]hat )(?<![Qq]uite )[Aa]n? (?!few|little|lot|bit|while|hundred)([a-z])"
)
_DEFINITE = re.compile(r"\b[Tt]he (?=([a-z]+)\b)([a-z])")
_DETERMINERS = "the|a|an|his|my|your|our|their|every"
_SWAPPED = re.compile(rf"\b(?:({_DETERMINERS})|(in|on|at|of|with|from|into|under|behind)) ([a-z]+)\b")
_WORD = re.compile(r"\b[a-z]{5,}\b")
_PLAIN = re.compile(r"\b[A-Za-z]+\b")


def misspelling(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """Words of five letters or more with two letters swapped, one left out or one doubled."""
    edits = []
    for match in _WORD.finditer(story.text):
        wrong = _misspelt(match[0], rng)
        if wrong not in setting.vocabulary:
            edits.append(Edit(match.start(), match.end(), wrong))
    return _edited(story, edits, setting, rng)


def _misspelt(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 2)
    ways = [word[:at] + word[at + 1 :], word[: at + 1] + word[at:]]
    if word[at] != word[at + 1]:
        ways.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return rng.choice(ways)


def agreement(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """A verb that does not agree with its subject, or a number with its noun: he were, she like, two apple.

    Conditions are left alone ("if he were" is right), and so is "there was", where people differ.
    """
    return _edited(story, _disagreements(story.text, setting), setting, rng)


def _disagreements(text: str, setting: Setting) -> Iterator[Edit]:
    for match in _BE_OR_HAVE.finditer(text):
        if not _CONDITION.search(text[: match.start()]):
            yield Edit(match.start(), match.end(), _FLIPPED[match[0]])
    for match in _HAVE.finditer(text):
        yield Edit(match.start(1), match.end(1), {"have": "has", "don't": "doesn't"}[match[1]])
    present = {third_person(base): base for base in _verbs()}
    for match in _PRESENT.finditer(text):
        if match[1] in present:
            yield Edit(match.start(1), match.end(1), present[match[1]])
    for match in _MANY.finditer(text):
        one = match[1][:-1]
        if plural(one) == match[1] and one in setting.vocabulary:
            yield Edit(match.start(1), match.end(1), one)


def verb_form(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """A wrong form of a verb: did not went, she goed, he walking home."""
    return _edited(story, _wrong_forms(story.text), setting, rng)


def _wrong_forms(text: str) -> Iterator[Edit]:
    for match in _AUXILIARY.finditer(text):
        if match[1] in _verbs() and past(match[1]) != match[1]:
            yield Edit(match.start(1), match.end(1), past(match[1]))
    for match in _PAST.finditer(text):
        if match[0] in _regularised():
            yield Edit(match.start(), match.end(), _regularised()[match[0]])
    for match in _REGULAR_PAST.finditer(text):
        verb = match[1]
        if not verb.endswith("eed"):
            yield Edit(match.start(1), match.end(1), f"{verb[:-3]}ying" if verb.endswith("ied") else f"{verb[:-2]}ing")


@cache
def _verbs() -> frozenset[str]:
    """Base forms that are known to be verbs."""
    from tasks.storybook.generator.words import lexicon

    return frozenset({verb.base for verb in lexicon().verbs.values()} | set(IRREGULAR_PAST)) - {"be"}


@cache
def _regularised() -> dict[str, str]:
    """Irregular pasts with what a child says for them: went, goed. Forms that are other words too are left out."""
    return {
        form: _regular(base)
        for base, form in IRREGULAR_PAST.items()
        if form != base and form not in _TWO_READINGS and not form.endswith("ed")
    }


def _regular(base: str) -> str:
    if base.endswith("e"):
        return f"{base}d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}ied"
    return f"{base}{base[-1]}ed" if re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", base) else f"{base}ed"


def dropped_article(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """An article left out before a word that needs one: "a few" and "the rain" would do without, and stay."""
    edits = [_without(story.text, match.start(), match.end(1) - 1) for match in _INDEFINITE.finditer(story.text)]
    edits += [
        _without(story.text, match.start(), match.end(2) - 1)
        for match in _DEFINITE.finditer(story.text)
        if match[1] in setting.countable
    ]
    return _edited(story, edits, setting, rng)


def _without(text: str, start: int, end: int) -> Edit:
    """Characters left out; the letter after them takes over the capital."""
    after = text[end]
    return Edit(start, end + 1, after.upper() if text[start].isupper() else after)


def swapped_words(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """An article, possessive or preposition and the word after it in each other's place: garden the."""
    edits = []
    for match in _SWAPPED.finditer(story.text):
        first, second = match[1] or match[2], match[3]
        if match[1] or second in _DETERMINERS.split("|"):
            edits.append(Edit(match.start(), match.end(), f"{second} {first}"))
    return _edited(story, edits, setting, rng)


def shuffled_sentences(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """The sentences in another order, none in its place."""
    parts, gaps = split_sentences(story.text)
    if len(parts) < 5:
        return None
    order = list(range(len(parts)))
    while any(at == place for place, at in enumerate(order)):
        rng.shuffle(order)
    return _joined([parts[at] for at in order], gaps)


def grown_up_words(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """Plain words replaced by grown-up ones of the same form, with the article that they need."""
    words = material()["grown_up"]
    edits = []
    for match in _PLAIN.finditer(story.text):
        new = words.get(match[0].lower())
        if new is None:
            continue
        new = new.capitalize() if match[0][0].isupper() else new
        before = re.search(r"\b([Aa])n? $", story.text[: match.start()])
        if before:
            head = before[1] + article(new)[1:]
            edits.append(Edit(before.start(), match.end(), f"{head} {new}"))
        else:
            edits.append(Edit(match.start(), match.end(), new))
    return _edited(story, edits, setting, rng, factor=2)


def unsafe_insertion(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """One sentence in the middle that no child should hear."""
    parts, gaps = split_sentences(story.text)
    if len(parts) < 4:
        return None
    at = rng.randrange(len(parts) // 3, len(parts) - 1)
    return _inserted(parts, gaps, at, rng.choice(material()["unsafe"]))


def with_sentence(text: str, sentence: str) -> str:
    """A text with a sentence in its middle."""
    parts, gaps = split_sentences(text)
    return _inserted(parts, gaps, len(parts) // 2, sentence) if len(parts) > 1 else f"{text} {sentence}"


def _inserted(parts: Sequence[str], gaps: Sequence[str], at: int, sentence: str) -> str:
    return _joined([*parts[:at], sentence, *parts[at:]], [*gaps[:at], " ", *gaps[at:]])


def cut_ending(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """The last sentence and a half are gone: it stops in the middle of a sentence."""
    parts, gaps = split_sentences(story.text)
    if len(parts) < 4:
        return None
    words = parts[-2].split()
    if len(words) < 4:
        return None
    kept = " ".join(words[: len(words) // 2]).rstrip(".,;:!?\"'”’")
    return _joined([*parts[:-2], kept], gaps[:-1])


def repetition(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """A sentence of the middle told four times, in the place of the three after it."""
    parts, gaps = split_sentences(story.text)
    if len(parts) < 6:
        return None
    places = [at for at in range(1, len(parts) - 4) if len(parts[at].split()) >= 4]
    if not places:
        return None
    at = rng.choice(places)
    return _joined([*parts[: at + 1], *[parts[at]] * 3, *parts[at + 4 :]], gaps)


def off_topic(story: Story, setting: Setting, rng: random.Random) -> str | None:
    """Another story, with none of the words that were asked for."""
    others = [other for other in setting.others if other.id != story.id]
    rng.shuffle(others)
    strangers = (other.text for other in others if not _uses_any(other.text, story.words))
    return next(strangers, None)


def _uses_any(text: str, asked: Sequence[str]) -> bool:
    told = set(split_words(text))
    return any(same_word(word, one) for word in told for one in asked)


def split_sentences(text: str) -> tuple[list[str], list[str]]:
    """The sentences and what stands between them: one gap fewer than sentences."""
    parts = sentences(text)
    gaps, at = [], 0
    for part, following in pairwise(parts):
        end = text.index(part, at) + len(part)
        at = text.index(following, end)
        gaps.append(text[end:at])
    return parts, gaps


def _joined(parts: Sequence[str], gaps: Sequence[str]) -> str:
    return "".join(part + gap for part, gap in zip(parts, [*gaps, ""], strict=True))


def _edited(
    story: Story, edits: Iterable[Edit], setting: Setting, rng: random.Random, *, factor: int = 1
) -> str | None:
    """The story with `faults` times `factor` of the edits made, drawn at random; None where there are fewer."""
    free = [edit for edit in edits if not _touches(story, edit)]
    rng.shuffle(free)
    chosen: list[Edit] = []
    for edit in free:
        if all(edit.end <= other.start or other.end <= edit.start for other in chosen):
            chosen.append(edit)
        if len(chosen) == setting.faults * factor:
            return _made(story.text, chosen)
    return None


def _touches(story: Story, edit: Edit) -> bool:
    """Whether an edit changes a word that the request asks for."""
    return any(
        same_word(word, asked) for word in split_words(story.text[edit.start : edit.end]) for asked in story.words
    )


def _made(text: str, edits: Sequence[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


@cache
def material() -> dict[str, Any]:
    """What the generators put in: faults.yaml."""
    text = (resources.files("tasks.judging.examination") / "faults.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
