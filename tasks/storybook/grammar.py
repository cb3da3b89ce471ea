"""Minimal pairs in the storybook's register: a sentence and the same sentence with one thing wrong.

The sentences are made from the lexicon by patterns of their own; none stands in a generated story
by construction. Both halves of a pair have the same number of words.
"""

import random
from collections.abc import Callable, Iterator, Sequence

from tasks.storybook.generator.inflect import comparative, past, plural, polish, third_person
from tasks.storybook.generator.people import PRONOUNS
from tasks.storybook.generator.plan import cast
from tasks.storybook.generator.words import Noun, lexicon

Pair = tuple[str, str]
Phenomenon = Callable[[random.Random], Pair]

_PLACES = ("in the garden", "by the river", "near the school", "on the hill", "behind the house", "under the tree")
_ANIMAL_VERBS = ("sleep", "play", "run", "hide", "sing", "eat", "wait", "rest", "dance", "jump", "swim", "dig")
_SHORT_ADJECTIVES = ("big", "small", "old", "young", "tall", "soft", "slow", "quick", "warm", "cold", "loud", "kind")
_IRREGULAR = {
    "run": "runned", "go": "goed", "see": "seed", "eat": "eated", "find": "finded", "take": "taked",
    "give": "gived", "fall": "falled", "break": "breaked", "catch": "catched", "bring": "bringed",
    "sing": "singed", "drink": "drinked", "build": "builded", "tell": "telled", "hide": "hided",
    "throw": "throwed", "draw": "drawed", "feel": "feeled", "keep": "keeped", "buy": "buyed",
}  # fmt: skip
_OBJECTS = {
    "go": "to the shop", "run": "to the door", "see": "a bird", "eat": "an apple", "find": "a coin",
    "take": "the basket", "give": "away the ball", "fall": "into the mud", "break": "the cup",
    "catch": "the ball", "bring": "some bread", "sing": "a song", "drink": "the milk",
    "build": "a tower", "tell": "a story", "hide": "the key", "throw": "a stone", "draw": "a horse",
    "feel": "the rain", "keep": "the shell", "buy": "a cake",
}  # fmt: skip
_TRANSITIVE = ("kick", "open", "wash", "carry", "clean", "push", "lift", "drop", "pull", "paint")
_INTRANSITIVE = ("sleep", "smile", "laugh", "cry", "wait", "yawn", "sneeze", "arrive")
_PRESENT = ("like", "want", "need", "see", "know", "love", "hear")


def minimal_pairs(*, seed: int, count: int) -> Iterator[tuple[str, str, str]]:
    """`count` triples (good, bad, phenomenon), balanced over the phenomena; pair i depends on (seed, i) alone."""
    names = sorted(PHENOMENA)
    for index in range(count):
        name = names[index % len(names)]
        good, bad = PHENOMENA[name](random.Random(f"grammar {seed} {index}"))
        yield polish(good, english=False), polish(bad, english=False), name


def _either(rng: random.Random, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]


def _noun(rng: random.Random, *categories: str) -> Noun:
    words = [word for name in categories for word in lexicon().categories[name] if isinstance(word, Noun)]
    return rng.choice(words)


def _animal(rng: random.Random) -> str:
    return _noun(rng, "pet", "bird").word


def _thing(rng: random.Random) -> Noun:
    while True:
        noun = _noun(rng, "toy", "snack")
        if " " not in noun.word and noun.plural != noun.word:
            return noun


def _name(rng: random.Random, gender: str) -> str:
    return _either(rng, cast()[gender])


def _gender(rng: random.Random) -> str:
    return _either(rng, ("he", "she"))


def agreement_near(rng: random.Random) -> Pair:
    """The dog sleeps / the dog sleep."""
    animal, verb, place = _animal(rng), _either(rng, _ANIMAL_VERBS), _either(rng, _PLACES)
    when = _either(rng, ("every day", "every night", "each morning", "all day", "now"))
    if rng.random() < 0.5:
        return f"the {animal} {third_person(verb)} {place} {when}.", f"the {animal} {verb} {place} {when}."
    many = plural(animal)
    return f"the {many} {verb} {place} {when}.", f"the {many} {third_person(verb)} {place} {when}."


def agreement_far(rng: random.Random) -> Pair:
    """The dogs near the house are / the dogs near the house is."""
    animal, thing = _animal(rng), _thing(rng)
    adjective = _either(rng, _SHORT_ADJECTIVES)
    between = _either(rng, ("near", "behind", "beside", "next to", "in front of"))
    right, wrong = rng.choice((("is", "are"), ("was", "were")))
    if rng.random() < 0.5:
        head = f"the {animal} {between} the {thing.plural}"
        return f"{head} {right} {adjective}.", f"{head} {wrong} {adjective}."
    head = f"the {plural(animal)} {between} the {thing.word}"
    return f"{head} {wrong} {adjective}.", f"{head} {right} {adjective}."


def determiner_noun(rng: random.Random) -> Pair:
    """These balls / these ball."""
    thing, name = _thing(rng), _name(rng, _gender(rng))
    verb = _either(rng, ("found", "wanted", "saw", "dropped", "counted", "liked"))
    place = _either(rng, _PLACES)
    if rng.random() < 0.5:
        word = _either(rng, ("these", "those", "many", "two", "three", "several", "five"))
        head = f"{name} {verb} {word}"
        return f"{head} {thing.plural} {place}.", f"{head} {thing.word} {place}."
    head = f"{name} {verb} {_either(rng, ('this', 'that', 'one', 'each', 'every'))}"
    return f"{head} {thing.word} {place}.", f"{head} {thing.plural} {place}."


def a_or_an(rng: random.Random) -> Pair:
    """An apple / a apple."""
    name = _name(rng, _gender(rng))
    verb = _either(rng, ("had", "saw", "found", "drew", "wanted", "dreamed of"))
    word = _either(
        rng,
        ("apple", "egg", "owl", "orange", "old hat", "ant", "umbrella", "empty box", "oven", "elephant", "uncle",
         "onion", "island", "ugly duck", "open door", "iron key", "ice cube", "arrow", "acorn", "otter"),
    )  # fmt: skip
    place = _either(rng, _PLACES)
    if rng.random() < 0.5:
        return f"{name} {verb} an {word} {place}.", f"{name} {verb} a {word} {place}."
    thing = _thing(rng).word
    right, wrong = ("an", "a") if thing[0] in "aeiou" else ("a", "an")
    return f"{name} {verb} {right} {thing} {place}.", f"{name} {verb} {wrong} {thing} {place}."


def irregular_past(rng: random.Random) -> Pair:
    """She found / she finded."""
    base = _either(rng, sorted(_IRREGULAR))
    head = f"{_either(rng, ('yesterday', 'then', 'last week', 'that day', 'at noon'))} {_name(rng, _gender(rng))}"
    return f"{head} {past(base)} {_OBJECTS[base]}.", f"{head} {_IRREGULAR[base]} {_OBJECTS[base]}."


def pronoun_case(rng: random.Random) -> Pair:
    """Tom saw her / Tom saw she."""
    subject, object_ = rng.choice((("he", "him"), ("she", "her"), ("they", "them"), ("we", "us"), ("I", "me")))
    verb = _either(rng, ("saw", "helped", "followed", "hugged", "called", "thanked", "found"))
    place = _either(rng, _PLACES)
    if rng.random() < 0.5:
        name = _name(rng, _gender(rng))
        return f"{name} {verb} {object_} {place}.", f"{name} {verb} {subject} {place}."
    rest = f"{verb} the {_animal(rng)} {place}."
    return f"{subject} {rest}", f"{object_} {rest}"


def reflexive(rng: random.Random) -> Pair:
    """He hurt himself / he hurt themselves."""
    gender = _either(rng, ("he", "she", "they"))
    subject = f"the {'children' if gender == 'they' else 'boy' if gender == 'he' else 'girl'}"
    right = PRONOUNS[gender][4]
    wrong = _either(rng, [PRONOUNS[other][4] for other in ("he", "she", "they") if other != gender])
    verb = _either(rng, ("saw", "hurt", "dried", "warmed", "hid", "washed", "drew", "called"))
    where = _either(rng, ("in the mirror", "after the game", "with a towel", "by the fire", "on the ice", "that day"))
    return f"{subject} {verb} {right} {where}.", f"{subject} {verb} {wrong} {where}."


def question_order(rng: random.Random) -> Pair:
    """Where did Tom go? / where Tom did go?"""
    who = rng.choice((_name(rng, _gender(rng)), f"the {_animal(rng)}", f"the little {_animal(rng)}"))
    ask = _either(rng, ("where", "when", "why", "how"))
    if rng.random() < 0.5:
        verb = _either(rng, ("sleep", "hide", "sing", "play", "wait", "run home", "go", "fall", "laugh"))
        return f"{ask} did {who} {verb}?", f"{ask} {who} did {verb}?"
    doing = _either(rng, ("sleeping", "hiding", "singing", "playing", "waiting", "running", "laughing", "digging"))
    return f"{ask} was {who} {doing}?", f"{ask} {who} was {doing}?"


def comparison(rng: random.Random) -> Pair:
    """Bigger than / big than."""
    first, second = rng.sample([noun.word for noun in lexicon().categories["pet"] if isinstance(noun, Noun)], 2)
    adjective = _either(rng, _SHORT_ADJECTIVES)
    if rng.random() < 0.5:
        head = f"the {first} was"
        return f"{head} {comparative(adjective)} than the {second}.", f"{head} {adjective} than the {second}."
    head = f"the {first} was as"
    return f"{head} {adjective} as the {second}.", f"{head} {comparative(adjective)} as the {second}."


def tense(rng: random.Random) -> Pair:
    """Yesterday she played / yesterday she plays; tomorrow she will play / she played."""
    name, place = _name(rng, _gender(rng)), _either(rng, _PLACES)
    verb = _either(rng, ("play", "walk", "climb", "paint", "cook", "jump", "dance", "work", "rest", "wait", "sing"))
    when = _either(rng, ("yesterday", "last night", "last summer", "a week ago", "long ago"))
    return f"{when} {name} {past(verb)} {place}.", f"{when} {name} {third_person(verb)} {place}."


def after_auxiliary(rng: random.Random) -> Pair:
    """She did not play / she did not played."""
    name, place = _name(rng, _gender(rng)), _either(rng, _PLACES)
    verb = _either(rng, ("play", "walk", "climb", "sleep", "sing", "run", "dance", "swim", "hide", "sit", "dig"))
    helper = _either(rng, ("did not", "could not", "wanted to", "would", "can", "had to", "must"))
    return f"{name} {helper} {verb} {place}.", f"{name} {helper} {past(verb)} {place}."


def negation(rng: random.Random) -> Pair:
    """She does not like it / she not does like it; he does not / he do not."""
    gender = _gender(rng)
    who = rng.choice((_name(rng, gender), f"the {_animal(rng)}"))
    verb, thing = _either(rng, _PRESENT), _thing(rng).plural
    if rng.random() < 0.5:
        return f"{who} does not {verb} the {thing}.", f"{who} not does {verb} the {thing}."
    return f"{who} does not {verb} the {thing}.", f"{who} do not {verb} the {thing}."


def argument_structure(rng: random.Random) -> Pair:
    """Tom kicked the ball / Tom laughed the ball."""
    name, thing = _name(rng, _gender(rng)), _thing(rng).word
    return (
        f"{name} {past(_either(rng, _TRANSITIVE))} the {thing}.",
        f"{name} {past(_either(rng, _INTRANSITIVE))} the {thing}.",
    )


def word_order(rng: random.Random) -> Pair:
    """A big dog / a dog big."""
    name, thing = _name(rng, _gender(rng)), _thing(rng).word
    adjective = _either(rng, ("big", "small", "old", "red", "blue", "green", "new", "good", "little"))
    verb = _either(rng, ("saw", "had", "found", "wanted", "drew", "lost"))
    place = _either(rng, _PLACES)
    return f"{name} {verb} the {adjective} {thing} {place}.", f"{name} {verb} the {thing} {adjective} {place}."


def possessive(rng: random.Random) -> Pair:
    """Her ball / she ball; their / them."""
    subject, owner = rng.choice((("he", "his"), ("she", "her"), ("they", "their"), ("we", "our")))
    wrong = {"his": "him", "her": "she", "their": "them", "our": "us"}[owner]
    verb = _either(rng, ("lost", "found", "shared", "dropped", "carried", "hid"))
    rest = f"{_thing(rng).word} {_either(rng, _PLACES)}."
    return f"{subject} {verb} {owner} {rest}", f"{subject} {verb} {wrong} {rest}"


PHENOMENA: dict[str, Phenomenon] = {
    "a_or_an": a_or_an,
    "agreement_far": agreement_far,
    "agreement_near": agreement_near,
    "argument_structure": argument_structure,
    "comparison": comparison,
    "determiner_noun": determiner_noun,
    "irregular_past": irregular_past,
    "negation": negation,
    "possessive": possessive,
    "pronoun_case": pronoun_case,
    "question_order": question_order,
    "reflexive": reflexive,
    "tense": tense,
    "verb_after_auxiliary": after_auxiliary,
    "word_order": word_order,
}
