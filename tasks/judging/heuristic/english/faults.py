"""All rules over a text."""

from collections.abc import Iterable
from functools import lru_cache

from tasks.judging.heuristic.english import agreement, determiners, pronouns, questions, verb_forms
from tasks.judging.heuristic.english.phrases import Fault
from tasks.judging.heuristic.english.tokens import tagged

RULES = (*determiners.RULES, *pronouns.RULES, *agreement.RULES, *verb_forms.RULES, *questions.RULES)


@lru_cache(maxsize=200_000)  # the judges read the same stories, and corrupted twins share most sentences
def broken_rules(sentence: str) -> tuple[Fault, ...]:
    """What breaks a rule in a sentence, one fault a place at most."""
    tokens = tagged(sentence)
    found: dict[int, Fault] = {}
    for rule in RULES:
        for fault in rule(tokens):
            found.setdefault(fault.at, fault)
    return tuple(found[at] for at in sorted(found))


def count_broken(sentences: Iterable[str]) -> int:
    """How many faults sentences have."""
    return sum(len(broken_rules(sentence)) for sentence in sentences)
