"""Noun phrases: where one ends, and whether it is one thing or many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.judging.heuristic.english.tokens import (
    ADVERBS,
    ARTICLES,
    AUXILIARIES,
    CONJUNCTIONS,
    EITHER,
    INDEFINITE,
    NEGATIONS,
    NOUN_TAGS,
    NUMBERS,
    PLURAL_ONLY,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    WH,
    Token,
    word_set,
)

Number = Literal["one", "many"]
SINGULAR_DETERMINERS = frozenset(("a", "an", "this", "that", "each", "every", "another", "one"))
MANY = NUMBERS | word_set("these those many several few both")
PLURAL_DETERMINERS = MANY | word_set("eleven twelve twenty thirty fifty")
DETERMINERS = ARTICLES | POSSESSIVES | SINGULAR_DETERMINERS | PLURAL_DETERMINERS | {"some", "no", "any", "all", "much"}
SINGULAR_PRONOUNS = word_set(
    "he she it everyone everybody everything someone somebody something nobody nothing anyone anybody anything"
)
PLURAL_PRONOUNS = frozenset(("they", "we"))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase: tokens `start` to `end`, the head the last of them. number: None where it may be either."""

    start: int
    end: int
    number: Number | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks a rule: the rule's name, the place of a token, the words."""

    rule: str
    at: int
    shown: str


def fault(rule: str, tokens: Sequence[Token], start: int, end: int) -> Fault:
    """The fault that the tokens from `start` up to `end` make."""
    return Fault(rule, start, " ".join(token.word for token in tokens[start:end]))


_OF_GRAMMAR = AUXILIARIES | PREPOSITIONS | CONJUNCTIONS | PRONOUNS | ARTICLES | ADVERBS | NEGATIONS
_IN_NO_PHRASE = (_OF_GRAMMAR - NEGATIONS) | WH | INDEFINITE


def is_boundary(tokens: Sequence[Token], at: int) -> bool:
    """Whether no noun phrase goes on here: its end, a mark, a word of grammar, a verb in the past."""
    if at >= len(tokens):
        return True
    token = tokens[at]
    if token.is_mark:
        return token.word not in ("'", "-", "–", "'s")
    return token.word in _OF_GRAMMAR or (token.tag == "VBD" and not {"NN", "JJ"} & token.forms) or token.is_past_only


def noun_run(tokens: Sequence[Token], at: int) -> int:
    """Where the descriptive words and nouns from `at` on end."""
    start = at
    while at < len(tokens) and not tokens[at].is_mark and _goes_on(tokens[at]):
        if at > start and tokens[at - 1].tag in ("NN", "NNS") and tokens[at].tag not in NOUN_TAGS:
            break  # the dogs | hungry; a man | selling apples
        at += 1
    return at


def _goes_on(token: Token) -> bool:
    if token.word in _IN_NO_PHRASE:
        return False
    return token.is_descriptive or token.tag in (*NOUN_TAGS, "CD")


def noun_phrase(tokens: Sequence[Token], at: int) -> Phrase | None:
    """The noun phrase that begins at a place, by a determiner, a name or a pronoun; None where none does."""
    if at >= len(tokens):
        return None
    word = tokens[at].word
    if word in SINGULAR_PRONOUNS:
        return Phrase(at, at + 1, "one")
    if word in PLURAL_PRONOUNS:
        return Phrase(at, at + 1, "many")
    if tokens[at].is_name and word not in EITHER and at + 1 < len(tokens) and not tokens[at + 1].is_name:
        return Phrase(at, at + 1, "one")
    if word not in DETERMINERS:
        return None
    return _determined(tokens, at)


def _determined(tokens: Sequence[Token], at: int) -> Phrase | None:
    inner = at + 1
    if (tokens[at].word == "all" and inner < len(tokens) and tokens[inner].word in DETERMINERS) or (
        inner < len(tokens) and tokens[inner].word in PLURAL_DETERMINERS | {"one"}
    ):
        inner += 1
    end = _before_verb(tokens, inner, noun_run(tokens, inner))
    while end > inner and tokens[end - 1].tag not in ("NN", "NNS"):  # are the dogs | hungry
        end -= 1
    if end == inner:
        return None
    if end < len(tokens) and tokens[end].word in ("'s", "'"):  # the dog's ball
        owned = noun_run(tokens, end + 1)
        return Phrase(at, owned, number_of(tokens[owned - 1])) if owned > end + 1 else None
    return Phrase(at, end, number_of(tokens[end - 1]))


def _before_verb(tokens: Sequence[Token], start: int, end: int) -> int:
    """The end without a last word that is the verb: "the dogs | bark", "the boy | plays"."""
    if end - start < 2:
        return end
    last, before = tokens[end - 1], tokens[end - 2]
    is_verb = (before.is_plural and {"VB", "VBZ"} & last.forms) or (before.is_singular and "VBZ" in last.forms)
    return end - 1 if is_verb and before.tag in ("NN", "NNS") else end


def number_of(noun: Token) -> Number | None:
    """Whether a noun is one or many; None where it may be either, or is no sure noun."""
    if noun.word in EITHER:
        return None
    if noun.is_plural or noun.word in PLURAL_ONLY:
        return "many"
    return "one" if noun.is_singular else None


def subject(tokens: Sequence[Token], at: int) -> Phrase | None:
    """A whole subject: noun phrases joined by "and" are many; what "of", "near", "with" add changes nothing."""
    first = _one_of(tokens, at) or noun_phrase(tokens, at)
    if first is None:
        return None
    end, number = first.end, first.number
    while end < len(tokens) and tokens[end].word == "and":
        other = noun_phrase(tokens, end + 1)
        if other is None or _is_pronoun(tokens, other):
            return None
        end, number = other.end, "many"
    while end + 1 < len(tokens) and tokens[end].word in PREPOSITIONS:
        place = end + 1 + (tokens[end + 1].word in ("to", "of"))
        inner = noun_phrase(tokens, place) or bare_phrase(tokens, place)
        if inner is None or _is_pronoun(tokens, inner):
            return None
        end = inner.end
    return Phrase(at, end, number)


def bare_phrase(tokens: Sequence[Token], at: int) -> Phrase | None:
    """Nouns without a determiner: "of toys", "like warm milk"."""
    end = noun_run(tokens, at)
    while end > at and tokens[end - 1].tag not in ("NN", "NNS"):
        end -= 1
    return Phrase(at, end, number_of(tokens[end - 1])) if end > at else None


def _is_pronoun(tokens: Sequence[Token], phrase: Phrase) -> bool:
    return tokens[phrase.start].word in PLURAL_PRONOUNS | SINGULAR_PRONOUNS


def _one_of(tokens: Sequence[Token], at: int) -> Phrase | None:
    """ "One of", "each of": one thing, whatever follows."""
    words = [token.word for token in tokens[at : at + 2]]
    return Phrase(at, at + 1, "one") if words in (["one", "of"], ["each", "of"]) else None
