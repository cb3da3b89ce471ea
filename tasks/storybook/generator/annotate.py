"""What the four tasks need to know of a story, out of its plan: words, summary, questions."""

import random
import re
from functools import cache

from tasks.storybook.generator.inflect import polish
from tasks.storybook.generator.plan import Plan
from tasks.storybook.generator.telling import Telling
from tasks.storybook.generator.words import lexicon
from tasks.storybook.story import Question

_AT_LAST = re.compile(r"^(?:in the end|at last|then|but|so|and then) ")
_PALE = frozenset({"was", "said", "got", "went", "came", "put"})  # too common to be asked for
_WORD = re.compile(r"\b[a-z]+\b")


@cache
def _kinds_of_words() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Nouns, verbs (past) and adjectives that are nothing else."""
    words = lexicon()
    nouns, verbs, adjectives = set(words.nouns), set(words.verbs) - _PALE, set(words.adjectives)
    return (
        frozenset(nouns - verbs - adjectives),
        frozenset(verbs - nouns - adjectives),
        frozenset(adjectives - nouns - verbs),
    )


def three_words(text: str, rng: random.Random) -> tuple[str, ...]:
    """A noun, a verb as it stands and an adjective, all of the text."""
    seen = list(dict.fromkeys(_WORD.findall(text)))
    found = []
    for kind in _kinds_of_words():
        options = [word for word in seen if word in kind]
        if options:
            found.append(options[int(rng.random() * len(options))])
    return tuple(found)


def summary(plan: Plan, telling: Telling) -> str:
    """One line: what went wrong and how it was mended."""
    telling.values["trouble"] = telling.tell(plan.problem.summary)
    telling.values["outcome"] = _AT_LAST.sub("", telling.tell(plan.way.summary))
    return polish(telling.tell(telling.rules["summary"]))


def questions(plan: Plan, telling: Telling, text: str) -> tuple[Question, ...]:
    """Two or three questions that the story answers, and one that it does not."""
    rng = telling.rng
    own = [*plan.problem.ask, *plan.way.ask, *plan.plot.ask]
    picked = rng.sample(own, min(len(own), rng.randint(2, 3)))
    found = {polish(question(telling)): polish(answer(telling)) for question, answer in picked}
    for question, answer in _of_the_hero(plan, rng):
        if len(found) < 2:
            found[question] = answer
    answered = [Question(question=question, answer=answer) for question, answer in found.items()]
    return (*answered, _unanswerable(telling, text))


def _of_the_hero(plan: Plan, rng: random.Random) -> list[tuple[str, str]]:
    """Questions that every story answers."""
    who = rng.choice(("Who is the story about?", "Who is this story about?", "What is the hero called?"))
    kind = "Was {} a boy or a girl?" if plan.world == "child" else "What was {}?"
    return [(who, plan.hero.name), (kind.format(plan.hero.name), polish(f"a {plan.hero.kind}"))]


def _unanswerable(telling: Telling, text: str) -> Question:
    """A question about something that the text has no word of."""
    lower = text.lower()
    options = list(telling.rules["unanswerable"].options)
    telling.rng.shuffle(options)
    for option in options:
        question, _, words = option(telling).partition("//")
        if not any(word in lower for word in words.split()):
            return Question(question=polish(question), answer=None)
    return Question(question="What did the hero dream of that night?", answer=None)
