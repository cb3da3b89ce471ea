"""What a story will tell, drawn before a word of it is told."""

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tasks.storybook.generator.people import PRONOUNS, Gender, Person
from tasks.storybook.generator.plots import Kit, Plot, Problem, Way, plots
from tasks.storybook.generator.words import FOLDER, read_yaml

World = Literal["child", "animal", "thing"]
Names = dict[str, Any]  # by gender, by world
PLAIN_SHARE = 0.7  # of the stories: told in the plain register, which a small model learns to tell
OTHER_GENDER = 0.75  # how often companion and helper are of the other gender: pronouns stay clear


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the telling must keep to."""

    plot: Plot
    world: World
    hero: Person
    friend: Person
    helper: Person
    kit: dict[str, str]
    problem: Problem
    way: Way
    theme: str
    feeling: str

    @property
    def key(self) -> str:
        """The same for all stories of the same essential plan, whoever its people are."""
        parts = [self.plot.name, self.problem.name, self.way.name, *self.kit.values()]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


@cache
def cast() -> dict[str, Any]:
    """Names, animals and helpers of cast.yaml."""
    found: dict[str, Any] = read_yaml(FOLDER / "cast.yaml")
    return _split(found) | {"plain": _split(found["plain"])}


def _split(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part.split() if isinstance(part, str) else part for name, part in parts.items()}


def draw_plan(rng: random.Random) -> Plan:
    """A plan: a plot, its people, its things, one of its problems and a way out of it."""
    plot = rng.choice(plots("plain" if rng.random() < PLAIN_SHARE else "vivid"))
    world: World = rng.choice(plot.kinds)  # type: ignore[arg-type]
    names = cast()["plain"] if plot.register == "plain" else cast()
    hero = _hero(world, names, rng)
    friend = _friend(world, hero, names, rng)
    problem = rng.choice(plot.problems)
    way = rng.choice(plot.ways_out_of(problem))
    return Plan(
        plot=plot,
        world=world,
        hero=_called(hero, friend),
        friend=_called(friend, hero),
        helper=_helper(plot, world, hero, rng),
        kit=_drawn(plot.kits, rng),
        problem=problem,
        way=way,
        theme=rng.choice(way.themes),
        feeling=rng.choice(problem.feelings),
    )


def _drawn(kits: tuple[Kit, ...], rng: random.Random) -> dict[str, str]:
    return {name: cell for kit in kits for name, cell in zip(kit.columns, rng.choice(kit.rows), strict=True)}


def _hero(world: World, names: Names, rng: random.Random) -> Person:
    return _person(world, rng.choice(("he", "she")), names, rng, avoid=None)


def _friend(world: World, hero: Person, names: Names, rng: random.Random) -> Person:
    other: Gender = "she" if hero.gender == "he" else "he"
    gender = other if rng.random() < OTHER_GENDER else hero.gender
    return _person(world, gender, names, rng, avoid=hero)


def _person(world: World, gender: Gender, names: Names, rng: random.Random, *, avoid: Person | None) -> Person:
    taken = (avoid.name, avoid.kind) if avoid else ("", "")
    while True:
        if world == "child":
            name, kind = rng.choice(names[gender]), "girl" if gender == "she" else "boy"
        else:
            name = rng.choice(names[f"{world}_names"])
            kind = rng.choice(cast()["animals" if world == "animal" else "thing_kinds"])
        if name[:2] != taken[0][:2] and (world == "child" or kind != taken[1]):
            return Person(name, gender, kind, world)


def _called(person: Person, other: Person) -> Person:
    """The person with other ways to call it, where they cannot be mistaken for the other one."""
    if person.kind == other.kind:
        return person
    calls = (f"the {person.kind}", f"the little {person.kind}")
    return Person(person.name, person.gender, person.kind, person.world, calls)


def _helper(plot: Plot, world: World, hero: Person, rng: random.Random) -> Person:
    groups = plot.helpers or (("wild",) if world == "animal" else ("family", "neighbour"))
    if world == "animal":
        groups = tuple("wild" if group in ("neighbour", "teacher", "family") else group for group in groups)
    options = [line for group in groups for line in cast()["helpers"][group]]
    for _ in range(2):
        name, _, gender = rng.choice(options).rpartition(", ")
        if gender != hero.gender:
            break
    return Person(name.replace("{his}", PRONOUNS[hero.gender][2]), gender, "helper", "grown")
