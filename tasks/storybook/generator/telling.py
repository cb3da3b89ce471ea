"""The context in which a story's templates are told: its plan's words, its chances, its Swedish twins."""

import random
import re
from dataclasses import dataclass, field

from tasks.storybook.generator.inflect import plural, polish
from tasks.storybook.generator.people import Person, is_pronoun_form
from tasks.storybook.generator.plots import Lines
from tasks.storybook.generator.template import Node
from tasks.storybook.generator.words import Adjective, Noun, Verb, lexicon

NAME_SHARE = 0.18
_INDEFINITE = re.compile(r"^(?:an?|one|the|some|his|her|its|two|half) ")

Value = str | Noun | Adjective | Verb | Person


@dataclass(slots=True)
class Telling:
    """Implements template.Context for one telling of one plan."""

    rng: random.Random
    values: dict[str, Value]
    rules: dict[str, Lines]
    verbosity: float
    choices: list[str] | None = None
    twins: list[tuple[str, str]] = field(default_factory=list)
    told: set[int] = field(default_factory=set)  # ids of the alternatives already told

    def chance(self) -> bool:
        return self.rng.random() < self.verbosity

    def pick(self, count: int) -> int:
        return int(self.rng.random() * count)

    def tell(self, lines: Lines) -> str:
        """One of the alternatives, if it can be one that this story has not told yet."""
        node: Node = lines.options[self.pick(len(lines.options))]
        for _ in range(4):
            if id(node) not in self.told:
                break
            node = lines.options[self.pick(len(lines.options))]
        self.told.add(id(node))
        return node(self)

    def slot(self, name: str, form: str) -> str:
        if name in ("hero", "friend"):
            return self._called("H" if name == "hero" else "F")
        value = self.values.get(name)
        if value is None:
            hero = self.values["H"]
            if is_pronoun_form(name) and isinstance(hero, Person):
                return self._pronoun(hero, name)
            raise ValueError(f"no {name!r} is planned in this story")
        return self._form(value, form)

    def _pronoun(self, hero: Person, form: str) -> str:
        """The pronoun, or at the start of a sentence now and then the name."""
        if form == "He" and self.rng.random() < NAME_SHARE:
            return hero.name
        return hero.form(form)

    def _called(self, name: str) -> str:
        """The person's name, or now and then what it is."""
        person = self.values[name]
        assert isinstance(person, Person)
        if person.calls and self.rng.random() < 0.3:
            return person.calls[self.pick(len(person.calls))]
        return person.name

    def _form(self, value: Value, form: str) -> str:
        if isinstance(value, str):
            return _form_of_phrase(value, form)
        if isinstance(value, Noun) and form in ("a", "adj"):
            return self._described(value, form)
        if isinstance(value, Adjective) and form.startswith("sv "):
            return self._agreeing(value, form[3:])
        return value.form(form)

    def _described(self, noun: Noun, form: str) -> str:
        """The noun with a fitting adjective (.adj), and with an article and perhaps an adjective (.a)."""
        fitting = lexicon().fitting(noun)
        if fitting and (form == "adj" or self.rng.random() < 0.6):
            phrase = f"{fitting[self.pick(len(fitting))]} {noun.word}"
        else:
            phrase = noun.word
        return f"a {phrase}" if form == "a" else phrase

    def _agreeing(self, adjective: Adjective, noun_name: str) -> str:
        noun = self.values[noun_name]
        neuter = isinstance(noun, Noun) and noun.neuter
        return adjective.form("svt" if neuter else "sv")

    def rule(self, name: str, form: str, remember: str) -> str:
        if name in self.rules:
            text = self.tell(self.rules[name])
            if remember:
                self.values[remember] = text
            return _form_of_phrase(text, form)
        category = lexicon().categories.get(name)
        if category is None:
            raise ValueError(f"there is no rule and no category {name!r}")
        word = category[self.pick(len(category))]
        if remember:
            self.values[remember] = word
        return self._form(word, form)

    def twin(self, english: Node, swedish: Node) -> str:
        self.choices = []
        text = english(self)
        try:
            translated = swedish(self)
        except IndexError:  # a word without a Swedish form: the English sentence stands alone
            translated = ""
        self.choices = None
        if translated:
            self.twins.append((polish(text), polish(translated, english=False)))
        return text


def _form_of_phrase(phrase: str, form: str) -> str:
    match form:
        case "a":
            return f"a {phrase}"
        case "the":
            return f"the {_INDEFINITE.sub('', phrase)}"
        case "s":
            return plural(phrase)
    return phrase
