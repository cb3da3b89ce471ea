"""All rules over a text."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from tasks.judging.heuristic.english import agreement, determiners, pronouns, questions, verb_forms
from tasks.judging.heuristic.english.phrases import Fault
from tasks.judging.heuristic.english.tokens import (
    DO,
    FINITE_BE,
    HAVE,
    MODALS,
    OBJECTS,
    ONLY_PARTICIPLE,
    RELATIVES,
    SUBJECTS,
    Token,
    tagged,
    word_set,
)

Rule = Callable[[Sequence[Token]], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    *determiners.RULES,
    *pronouns.RULES,
    *agreement.RULES,
    *verb_forms.RULES,
    *questions.RULES,
)
NEEDS: Mapping[Rule, frozenset[str]] = {  # words of which a sentence must have one for a rule to find anything in it
    determiners.much_before_many: word_set("much less"),
    determiners.one_of_one: word_set("of"),
    determiners.missing_article: determiners.COUNTED,
    pronouns.object_as_subject: OBJECTS | {"her"},
    pronouns.joined_object: OBJECTS,
    pronouns.subject_as_object: SUBJECTS,
    pronouns.subject_as_owner: SUBJECTS,
    agreement.relative_agreement: RELATIVES,
    agreement.there_agreement: word_set("there"),
    verb_forms.after_modal: MODALS,
    verb_forms.after_do: DO,
    verb_forms.after_to: word_set("to"),
    verb_forms.after_have: HAVE,
    verb_forms.after_be: FINITE_BE,
    verb_forms.participle_alone: ONLY_PARTICIPLE,
    verb_forms.double_comparison: word_set("more most"),
    verb_forms.double_negation: word_set("n't"),
    questions.question_order: word_set("?"),
    questions.verb_before_subject: word_set("?"),
    questions.two_auxiliaries: word_set("?"),
    questions.time_and_tense: word_set("yesterday last ago tomorrow next"),
    questions.mixed_tense: word_set("and"),
}


@lru_cache(maxsize=200_000)  # the judges read the same stories, and corrupted twins share most sentences
def broken_rules(sentence: str) -> tuple[Fault, ...]:
    """What breaks a rule in a sentence, one fault a place at most."""
    tokens = tagged(sentence)
    words = frozenset(token.word for token in tokens)
    found: dict[int, Fault] = {}
    for rule in RULES:
        if rule in NEEDS and words.isdisjoint(NEEDS[rule]):
            continue
        for fault in rule(tokens):
            found.setdefault(fault.at, fault)
    return tuple(found[at] for at in sorted(found))


def faults_in(sentences: Iterable[str]) -> list[Fault]:
    """The faults of sentences one after the other."""
    return [fault for sentence in sentences for fault in broken_rules(sentence)]
