"""Pronouns in their case, and reflexives that go back to somebody."""

from collections.abc import Iterator, Sequence

from tasks.judging.heuristic.english.phrases import Fault, fault, is_boundary
from tasks.judging.heuristic.english.tokens import (
    AUXILIARIES,
    END,
    NOUN_TAGS,
    OBJECTS,
    QUOTES,
    SUBJECTS,
    Token,
    word_set,
)

_PLAIN_PREPOSITIONS = word_set(
    "with to from at into under behind beside near between without toward towards onto on for of about"
)
_SAYING = word_set(
    "said asked cried called shouted replied thought answered whispered laughed did was were had could would yelled "
    "exclaimed sang smiled screamed added went came sat stood ran is has does can will"
)


def object_as_subject(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Him went home", "Me and Tom are", "because them were"."""
    for at in range(len(tokens) - 1):
        word = tokens[at].word
        before = tokens[at - 1].word if at else "."
        starts = before in END or before in QUOTES or at == 0
        if word in OBJECTS and (starts or before in ("because", "when", "if", "while", "but")):
            if _is_finite(tokens, at + 1):
                yield fault("object_as_subject", tokens, at, at + 2)
        elif word == "her" and (starts or before in ("because", "when")) and _is_finite(tokens, at + 1):
            yield fault("object_as_subject", tokens, at, at + 2)
        elif starts and word in OBJECTS | {"her"} and tokens[at + 1].word == "and" and _joined_subject(tokens, at + 2):
            yield fault("object_as_subject", tokens, at, at + 3)


def _joined_subject(tokens: Sequence[Token], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at].is_name and _is_finite(tokens, at + 1)


def joined_object(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Tom and me went": at the beginning of a sentence."""
    for at in range(2, len(tokens) - 1):
        first = at - 2
        starts = first == 0 or tokens[first - 1].word in END or tokens[first - 1].word in QUOTES
        joined = tokens[at].word in OBJECTS and tokens[at - 1].word == "and" and tokens[first].is_name
        if joined and starts and _is_finite(tokens, at + 1):
            yield fault("joined_object", tokens, first, at + 2)


def _is_finite(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    return token.word in AUXILIARIES or token.is_past_only or (token.tag == "VBD" and "NN" not in token.forms)


def subject_as_object(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "With he.", "to they and", "saw she."."""
    for at in range(1, len(tokens)):
        if tokens[at].word not in SUBJECTS or not _ends(tokens, at + 1):
            continue
        before = tokens[at - 1]
        if before.word in _PLAIN_PREPOSITIONS or (
            before.is_past and before.word not in _SAYING and not _is_spoken(tokens)
        ):
            yield fault("subject_as_object", tokens, at - 1, at + 1)


def _ends(tokens: Sequence[Token], at: int) -> bool:
    """Whether the clause ends here: a verb could still follow a preposition or an adverb."""
    return at >= len(tokens) or tokens[at].word in (*END, ";")


def _is_spoken(tokens: Sequence[Token]) -> bool:
    """Whether somebody speaks: "cried she"."""
    return any(token.word in QUOTES for token in tokens)


def subject_as_owner(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "In they house", "with he dog"."""
    for at in range(1, len(tokens) - 1):
        if tokens[at].word in SUBJECTS and tokens[at - 1].word in ("with", "in", "to", "from", "at", "under"):
            after = tokens[at + 1]
            if after.tag in ("NN", "NNS") and "VBD" not in after.forms and is_boundary(tokens, at + 2):
                yield fault("subject_as_owner", tokens, at - 1, at + 2)


_NO_WORDS = word_set("hisself theirselves theirself ourself meself itsself themself hisselves yourselfs themselfs")
_REFERS = {
    "myself": frozenset(("i", "me", "my")),
    "yourself": frozenset(("you", "your")),
    "yourselves": frozenset(("you", "your")),
    "ourselves": frozenset(("we", "us", "our")),
    "himself": frozenset(("he", "him", "his")),
    "herself": frozenset(("she", "her")),
    "itself": frozenset(("it", "its")),
    "themselves": frozenset(("they", "them", "their")),
}
_OWNERS = word_set("his her their its")
_ALL_REFERRING = frozenset(word for words in _REFERS.values() for word in words) - _OWNERS
_FEMALE = word_set(
    "girl woman mother mom mum mommy mummy mama sister grandmother grandma granny aunt queen princess witch lady lily "
    "sue anna mia sara sarah emma lucy amy jane jill daughter wife niece waitress actress"
)
_MALE = word_set(
    "boy man father dad daddy papa brother grandfather grandpa uncle king prince wizard tim tom ben max jack john sam "
    "son husband nephew waiter actor"
)


def strange_reflexive(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Hisself"; "he hurt herself", "they washed himself": nobody before it is meant."""
    for at, token in enumerate(tokens):
        if token.word in _NO_WORDS:
            yield fault("strange_reflexive", tokens, at, at + 1)
        elif token.word in _REFERS and _has_other_subject(tokens, at):
            yield fault("strange_reflexive", tokens, max(0, at - 2), at + 1)


def _has_other_subject(tokens: Sequence[Token], at: int) -> bool:
    """Whether all that stands before the reflexive in its sentence is of another person, number or gender."""
    before = tokens[:at]
    if any(token.word in QUOTES for token in before):
        return False
    word = tokens[at].word
    meant = [_may_mean(token, word) for token in before if _is_candidate(token)]
    if word.startswith("your") and not any(token.word in _ALL_REFERRING for token in before):
        return False
    if word == "themselves" and any(token.word == "and" for token in before):
        return False
    return bool(meant) and not any(meant)


def _is_candidate(token: Token) -> bool:
    return token.word in _ALL_REFERRING or token.tag in NOUN_TAGS or token.word in _EVERYONE


_EVERYONE = word_set("everyone everybody someone somebody each all both anyone nobody who one none")


def _may_mean(token: Token, reflexive: str) -> bool:
    if token.word in _ALL_REFERRING | _OWNERS:
        return token.word in _REFERS[reflexive] or (token.word in ("it", "one") and reflexive != "themselves")
    if reflexive in ("myself", "ourselves", "yourself", "yourselves"):
        return token.word in _EVERYONE
    if reflexive == "themselves":
        return token.word in _EVERYONE or not token.is_singular
    if token.word in _FEMALE | _MALE:
        return reflexive == "itself" or (token.word in _FEMALE) == (reflexive == "herself")
    return not token.is_plural or token.word in _EVERYONE


RULES = (object_as_subject, joined_object, subject_as_object, subject_as_owner, strange_reflexive)
