"""The plots: small causal structures, each with its kits, problems, ways out and endings, from plots/*.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tasks.storybook.generator.template import Node, parse
from tasks.storybook.generator.words import FOLDER, entries, read_yaml

Register = Literal["vivid", "plain"]  # pictures and surprises, or one thing after the other in few words


@dataclass(frozen=True, slots=True)
class Lines:
    """Alternatives of one beat."""

    options: tuple[Node, ...]

    def __bool__(self) -> bool:
        return bool(self.options)


@dataclass(frozen=True, slots=True)
class Kit:
    """A table of things that go together: one row is drawn for a story."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    name: str
    feelings: tuple[str, ...]
    text: Lines
    summary: Lines
    ask: tuple[tuple[Node, Node], ...]
    conflict: bool
    tries: bool  # whether the plot's failed attempts fit this problem
    feel: Mapping[str, Lines]  # lines of its own for a feeling, beside the shared ones


@dataclass(frozen=True, slots=True)
class Way:
    """How the problem is solved, by what, and which themes that can stand for."""

    name: str
    themes: tuple[str, ...]
    problems: tuple[str, ...]  # names of the problems it solves; empty: all
    text: Lines
    summary: Lines
    ask: tuple[tuple[Node, Node], ...]
    twist: bool
    bad: bool
    end: Lines


@dataclass(frozen=True, slots=True)
class Plot:
    name: str
    register: Register
    kinds: tuple[str, ...]
    weather: str
    helpers: tuple[str, ...]
    kits: tuple[Kit, ...]
    title: Lines
    start: Lines
    hint: Lines
    problems: tuple[Problem, ...]
    attempt: Lines
    ways: tuple[Way, ...]
    end: Lines
    ask: tuple[tuple[Node, Node], ...]

    def ways_out_of(self, problem: Problem) -> list[Way]:
        """The ways that solve this problem."""
        return [way for way in self.ways if not way.problems or problem.name in way.problems]


def lines(block: str | None) -> Lines:
    """The alternatives of a YAML block, one a line."""
    return Lines(tuple(parse(line) for line in entries(block or "")))


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split())


def _ask(block: str | None) -> tuple[tuple[Node, Node], ...]:
    pairs = [line.partition("=") for line in entries(block or "")]
    return tuple((parse(question), parse(answer)) for question, _, answer in pairs)


def _kit(block: str) -> Kit:
    head, *rows = entries(block)
    columns = tuple(part.strip() for part in head.split(","))
    table = tuple(tuple(part.strip() for part in row.split(";")) for row in rows)
    for row in table:
        if len(row) != len(columns):
            raise ValueError(f"a kit with the columns {columns} has a row of {len(row)}: {row}")
    return Kit(columns, table)


def _problem(index: int, entry: Mapping[str, Any]) -> Problem:
    return Problem(
        name=str(entry.get("name", index)),
        feelings=_words(entry["feeling"]),
        text=lines(entry["text"]),
        summary=lines(entry["sum"]),
        ask=_ask(entry.get("ask")),
        conflict=bool(entry.get("conflict", False)),
        tries=bool(entry.get("tries", True)),
        feel={name: lines(block) for name, block in entry.get("feel", {}).items()},
    )


def _way(index: int, entry: Mapping[str, Any]) -> Way:
    return Way(
        name=str(index),
        themes=_words(entry["theme"]),
        problems=_words(entry.get("of")),
        text=lines(entry["text"]),
        summary=lines(entry["sum"]),
        ask=_ask(entry.get("ask")),
        twist=bool(entry.get("twist", False)),
        bad=bool(entry.get("bad", False)),
        end=lines(entry.get("end")),
    )


def _plot(entry: Mapping[str, Any], register: Register) -> Plot:
    return Plot(
        name=entry["plot"],
        register=register,
        kinds=_words(entry["kinds"]),
        weather=entry.get("weather", "any"),
        helpers=_words(entry.get("helper")),
        kits=tuple(_kit(block) for block in entry.get("kits", ())),
        title=lines(entry["title"]),
        start=lines(entry["start"]),
        hint=lines(entry.get("hint")),
        problems=tuple(_problem(index, part) for index, part in enumerate(entry["problems"])),
        attempt=lines(entry.get("try")),
        ways=tuple(_way(index, part) for index, part in enumerate(entry["ways"])),
        end=lines(entry.get("end")),
        ask=_ask(entry.get("ask")),
    )


def _files(kind: str, register: Register) -> list[Path]:
    """The YAML files of plots/ or phrases/; those of the plain register lie in a folder plain."""
    return sorted((FOLDER / kind / register if register == "plain" else FOLDER / kind).glob("*.yaml"))


@cache
def plots(register: Register) -> tuple[Plot, ...]:
    """All plots of a register, in the order of their files. Raises ValueError naming one that is not well formed."""
    found = []
    for path in _files("plots", register):
        for entry in read_yaml(path):
            try:
                found.append(_plot(entry, register))
            except (KeyError, ValueError, AttributeError, TypeError) as error:
                raise ValueError(f"{path.name}: plot {entry.get('plot')!r}: {error!r}") from error
    return tuple(found)


@cache
def phrases(register: Register) -> dict[str, Lines]:
    """The phrase rules by name, of all files of phrases/; the plain register's own stand in for the vivid one's."""
    rules = _rules("vivid")
    return rules if register == "vivid" else {**rules, **_rules(register)}


def _rules(register: Register) -> dict[str, Lines]:
    rules: dict[str, Lines] = {}
    for path in _files("phrases", register):
        for name, block in read_yaml(path).items():
            if name in rules:
                raise ValueError(f"{path.name}: there are two rules {name!r}")
            try:
                rules[name] = lines(block)
            except ValueError as error:
                raise ValueError(f"{path.name}: rule {name!r}: {error}") from error
    return rules
