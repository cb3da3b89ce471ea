"""The little language in which plots and phrases are written.

(a|b|c)      one of the alternatives, each as likely; an empty one is allowed
[text]       perhaps: how often is the teller's verbosity
{name}       what the plan says: {H} {F} {G} people, {thing} a noun, {spot} a phrase
{name.form}  a form of it: {he} {F.his} {thing.s} {thing.a}
<rule>       an alternative of a phrase rule or of a category of the lexicon
<rule.form>  the same in a form: <toy.s> plural, <toy.a> with article and fitting adjective
<rule:name>  the same, and remembered as `name` for the rest of the story
<rule_{x}>   the name of the rule depends on the plan
^            the next letter is a capital
en ;; sv     a whole English sentence and its Swedish twin; in the English half (ran~sprang|sat~satt)
             pairs the alternatives, and $1, $2 ... of the Swedish half are the chosen ones
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class Context(Protocol):
    """What a template needs to know of the story that it is told in."""

    choices: list[str] | None  # Swedish halves of the choices made in the twin being told

    def chance(self) -> bool: ...
    def pick(self, count: int) -> int: ...
    def slot(self, name: str, form: str) -> str: ...
    def rule(self, name: str, form: str, remember: str) -> str: ...
    def twin(self, english: "Node", swedish: "Node") -> str: ...


Node: TypeAlias = Callable[[Context], str]


@dataclass(frozen=True, slots=True)
class Text:
    text: str

    def __call__(self, context: Context) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]

    def __call__(self, context: Context) -> str:
        return "".join([part(context) for part in self.parts])


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Node, ...]
    swedish: tuple[str, ...]

    def __call__(self, context: Context) -> str:
        index = context.pick(len(self.options))
        if context.choices is not None:
            context.choices.append(self.swedish[index])
        return self.options[index](context)


@dataclass(frozen=True, slots=True)
class Perhaps:
    inner: Node

    def __call__(self, context: Context) -> str:
        return self.inner(context) if context.chance() else ""


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    form: str

    def __call__(self, context: Context) -> str:
        return context.slot(self.name, self.form)


@dataclass(frozen=True, slots=True)
class Rule:
    name: Node
    form: str
    remember: str

    def __call__(self, context: Context) -> str:
        return context.rule(self.name(context), self.form, self.remember)


@dataclass(frozen=True, slots=True)
class Chosen:
    """$1: the Swedish half of the first choice made."""

    index: int

    def __call__(self, context: Context) -> str:
        return (context.choices or [])[self.index]


@dataclass(frozen=True, slots=True)
class Twin:
    english: Node
    swedish: Node

    def __call__(self, context: Context) -> str:
        return context.twin(self.english, self.swedish)


_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


def parse(source: str) -> Node:
    """The template of one line. Raises ValueError naming the line where a bracket is not closed."""
    english, twin, swedish = source.partition(";;")
    if twin:
        return Twin(_sequence(english.strip(), source), _sequence(swedish.strip(), source))
    return _sequence(source.strip(), source)


def _sequence(text: str, source: str) -> Node:
    parts: list[Node] = []
    plain_from = position = 0
    while position < len(text):
        mark = text[position]
        if mark in _CLOSING:
            end = _end_of(text, position, source)
            _add_text(parts, text[plain_from:position])
            parts.append(_node(mark, text[position + 1 : end], source))
            plain_from = position = end + 1
        elif mark == "$":
            _add_text(parts, text[plain_from:position])
            parts.append(Chosen(int(text[position + 1]) - 1))
            plain_from = position = position + 2
        else:
            position += 1
    _add_text(parts, text[plain_from:])
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def _add_text(parts: list[Node], text: str) -> None:
    if text:
        parts.append(Text(text))


def _end_of(text: str, start: int, source: str) -> int:
    depth = 0
    opening, closing = text[start], _CLOSING[text[start]]
    for position in range(start, len(text)):
        if text[position] == opening:
            depth += 1
        elif text[position] == closing:
            depth -= 1
            if depth == 0:
                return position
    raise ValueError(f"a {opening!r} is never closed in {source!r}")


def _node(mark: str, inner: str, source: str) -> Node:
    if mark == "(":
        options = [option.partition("~") for option in _split(inner)]
        return Choice(
            tuple(_sequence(english, source) for english, _, _ in options),
            tuple(swedish or english for english, _, swedish in options),
        )
    if mark == "[":
        return Perhaps(_sequence(inner, source))
    if mark == "{":
        name, _, form = inner.partition(".")
        return Slot(name, form)
    name, _, remember = inner.partition(":")
    name, _, form = name.partition(".")
    return Rule(_sequence(name, source), form, remember)


def _split(inner: str) -> list[str]:
    """The alternatives between the bars that stand in no inner bracket."""
    options, depth, start = [], 0, 0
    for position, mark in enumerate(inner):
        depth += (mark in _CLOSING) - (mark in _CLOSING.values())
        if mark == "|" and depth == 0:
            options.append(inner[start:position])
            start = position + 1
    return [*options, inner[start:]]
