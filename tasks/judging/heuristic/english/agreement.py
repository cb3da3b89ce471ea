"""A verb agrees with its subject in number, next to it, across what stands between, and in questions."""

from collections.abc import Iterator, Sequence

from tasks.judging.heuristic.english.phrases import (
    PLURAL_DETERMINERS,
    Fault,
    Number,
    Phrase,
    bare_phrase,
    fault,
    is_boundary,
    noun_phrase,
    subject,
)
from tasks.judging.heuristic.english.tokens import (
    ADVERBS,
    ASKING,
    AUXILIARIES,
    CONJUNCTIONS,
    END,
    FINITE_BE,
    MODALS,
    NEGATIONS,
    PERSONS,
    PREPOSITIONS,
    QUOTES,
    RELATIVES,
    THIRD_PERSONS,
    WH,
    Token,
    word_set,
)

OF_ONE, OF_MANY = word_set("is was has does"), word_set("are were have do")
_WRONG_AFTER = {
    **{word: frozenset(("are", "have", "am", "do")) for word in THIRD_PERSONS},
    **{word: frozenset(("is", "was", "has", "does", "am")) for word in ("they", "we", "you")},
    "i": frozenset(("is", "are", "has", "does")),
}
_UNREAL = word_set("if wish wished though although as unless whether")
_OPENING = CONJUNCTIONS - {"and", "or", "nor", "as", "than"} | WH
_STARTS_ANEW = frozenset((",", ";", ":", "-", "–", "—", "..."))


def pronoun_agreement(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "They was", "he are", "it don't", "I is"."""
    for at in range(len(tokens) - 1):
        word, verb = tokens[at].word, tokens[at + 1].word
        if word not in _WRONG_AFTER or not _is_subject(tokens, at):
            continue
        wrong = verb in _WRONG_AFTER[word] or (verb == "were" and word in THIRD_PERSONS and not _is_unreal(tokens, at))
        if wrong and not (verb in ("have", "do") and _is_inverted(tokens, at)):
            yield fault("pronoun_agreement", tokens, at, at + 2)


def pronoun_verb(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "He go", "they plays": other verbs than the auxiliaries."""
    for at in range(len(tokens) - 1):
        word, verb = tokens[at].word, _after_adverbs(tokens, at + 1)
        if verb >= len(tokens) or tokens[verb].word in AUXILIARIES or not _is_subject(tokens, at):
            continue
        of_one = word in THIRD_PERSONS and tokens[verb].is_base_verb and not _is_inverted(tokens, at)
        of_many = word in PERSONS - THIRD_PERSONS and tokens[verb].is_s_verb and tokens[verb].tag != "NNS"
        if (of_one and tokens[verb].word not in _NO_SURE_VERB and not _follows(tokens, at, _LETTING)) or of_many:
            yield fault("pronoun_verb", tokens, at, verb + 1)


_NO_SURE_VERB = word_set("like well better please thank say")
_LETTING = word_set("let lets make makes made help helps helped see sees saw hear heard watch watched that")


def noun_agreement(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "The dogs near the house is", "a boy have", "the cats was"."""
    for at in _clause_starts(tokens):
        found = subject(tokens, at)
        if found is None or found.number is None or found.end >= len(tokens):
            continue
        if tokens[found.start].word in _WRONG_AFTER or (at and tokens[at].word == "that"):
            continue
        end = _past_relative(tokens, found)
        verb = _after_adverbs(tokens, end)
        if verb < len(tokens) and _disagrees(tokens, found.number, verb) and not _is_unreal(tokens, at):
            yield fault("noun_agreement", tokens, at, verb + 1)


def relative_agreement(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "The dogs that was", "a girl who have": right after the noun, which no preposition leads in."""
    for at in _clause_starts(tokens):
        found = noun_phrase(tokens, at)
        if found is None or found.end + 1 >= len(tokens) or tokens[found.end].word not in RELATIVES:
            continue
        verb = tokens[found.end + 1]
        doubtful = found.number == "many" and verb.tag == "NNS" and "VBZ" in verb.forms
        wrong = _disagrees(tokens, found.number, found.end + 1) or (
            doubtful and _is_boundary_or_here(tokens, found.end + 2)
        )
        if tokens[found.start].word not in _WRONG_AFTER and wrong:
            yield fault("relative_agreement", tokens, at, found.end + 2)


def _is_boundary_or_here(tokens: Sequence[Token], at: int) -> bool:
    return is_boundary(tokens, at) or tokens[at].tag == "RB"


def there_agreement(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "There was two dogs", "there are a cat"."""
    for at in range(len(tokens) - 2):
        if tokens[at].word != "there" or tokens[at + 1].word not in FINITE_BE:
            continue
        place = _after_adverbs(tokens, at + 2)
        found = noun_phrase(tokens, place)
        if found is None or found.number is None or _is_list(tokens, found.end):
            continue
        of_many = found.number == "many" and tokens[place].word in PLURAL_DETERMINERS | {"some", "no", "the"}
        of_one = found.number == "one" and tokens[place].word in ("a", "an", "one", "another")
        verb = tokens[at + 1].word
        if (of_many and verb in OF_ONE) or (of_one and verb in OF_MANY and not _is_unreal(tokens, at)):
            yield fault("there_agreement", tokens, at, found.end)


def question_agreement(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Is the dogs happy?", "Where are the boy?", "Do he like it?", "Was they here?"."""
    at = _auxiliary_of_question(tokens)
    if at is None:
        return
    verb, follows = tokens[at].word, at + 1
    if tokens[follows].word == "n't":
        follows += 1
    if follows >= len(tokens):
        return
    word = tokens[follows].word
    if word in _WRONG_AFTER:
        if verb in _WRONG_AFTER[word] and not (word in ("it", "you") and verb in ("do", "have", "has")):
            yield fault("question_agreement", tokens, at, follows + 1)
        return
    found = noun_phrase(tokens, follows)
    if found is None or found.number is None or _is_list(tokens, found.end) or word == "that":
        return
    if verb in (OF_MANY if found.number == "one" else OF_ONE):
        yield fault("question_agreement", tokens, at, found.end)


_ASKS = OF_ONE | OF_MANY | {"am"}


def _auxiliary_of_question(tokens: Sequence[Token]) -> int | None:
    """The place of the auxiliary that begins a question, after a question word or first."""
    start = next((at for at, token in enumerate(tokens) if token.word not in QUOTES), 0)
    asks = any(token.word == "?" for token in tokens) or (tokens and tokens[start].word in WH)
    for at in (start, start + 1):
        if at + 1 < len(tokens) and tokens[at].word in _ASKS:
            asked = at == start or tokens[start].word in ASKING
            return at if asks and asked else None
    return None


def _is_list(tokens: Sequence[Token], end: int) -> bool:
    return end < len(tokens) and tokens[end].word in ("and", "or", "of", ",")


def _clause_starts(tokens: Sequence[Token]) -> Iterator[int]:
    """Where a subject may stand: first, after a mark, after a word that opens a clause."""
    for at in range(len(tokens)):
        before = tokens[at - 1].word if at else "."
        opens = before in _STARTS_ANEW and not _lists(tokens, at)
        if before == "." and at > 1 and tokens[at - 2].word in ("mr", "mrs", "ms", "dr", "st"):
            continue
        if at == 0 or before in QUOTES or before in END or opens or before in _OPENS_CLAUSE:
            yield at


_OPENS_CLAUSE = word_set("but because when while so if where that said thought knew")


def _lists(tokens: Sequence[Token], at: int) -> bool:
    """Whether what follows a comma may be a member of a list: "apples, pears and ..."."""
    return any(token.word in ("and", "or") for token in tokens[at : at + 14])


def _is_subject(tokens: Sequence[Token], at: int) -> bool:
    """Whether a pronoun begins a clause; those that are subjects in any case do so wherever they stand."""
    before = tokens[at - 1].word if at else "."
    if before in ("and", "or", "nor", "than", "of", "to", "like"):
        return False
    if tokens[at].word in ("you", "it"):
        return at == 0 or before in QUOTES or before in END or before in _OPENING or before in _STARTS_ANEW
    return True


def _is_inverted(tokens: Sequence[Token], at: int) -> bool:
    """Whether an auxiliary stands before a pronoun: "did he have", "how could she go"."""
    before = [token.word for token in tokens[max(0, at - 3) : at]]
    return any(word in AUXILIARIES or word == "'d" for word in before[-2:]) or "let" in before


def _follows(tokens: Sequence[Token], at: int, words: frozenset[str]) -> bool:
    return at > 0 and tokens[at - 1].word in words


def _is_unreal(tokens: Sequence[Token], at: int) -> bool:
    """ "If he were", "as if there were"."""
    return any(token.word in _UNREAL for token in tokens[max(0, at - 6) : at + 1])


def _after_adverbs(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and (
        tokens[at].word in ADVERBS or (tokens[at].tag == "RB" and tokens[at].word[-2:] == "ly")
    ):
        at += 1
    return at


def _past_relative(tokens: Sequence[Token], found: Phrase) -> int:
    """Where a relative clause after a subject ends: "the dogs [that like the cat] are", "the girl [who he saw] is"."""
    at = found.end
    if tokens[at].word not in RELATIVES | {"whom"} or at + 2 >= len(tokens):
        return at
    inner = noun_phrase(tokens, at + 1)
    verb = _after_adverbs(tokens, inner.end if inner else at + 1)
    while verb < len(tokens) and tokens[verb].word in AUXILIARIES | NEGATIONS | {"been", "be", "being"}:
        verb = _after_adverbs(tokens, verb + 1)
    if verb < len(tokens) and tokens[verb].word in PREPOSITIONS and tokens[verb - 1].word in _STANDS_FOR_VERB:
        verb -= 1  # who had been | under
    end = verb + 1
    if (inner is None and (last := noun_phrase(tokens, end) or bare_phrase(tokens, end))) or (
        end < len(tokens) and tokens[end].word in PREPOSITIONS and (last := noun_phrase(tokens, end + 1))
    ):
        end = last.end
    return end


_STANDS_FOR_VERB = frozenset(("was", "were", "is", "are", "been"))


def _disagrees(tokens: Sequence[Token], number: Number | None, at: int) -> bool:
    token = tokens[at]
    if number is None:
        return False
    if token.word in AUXILIARIES:
        plain = token.word not in ("do", "does") or (at + 1 < len(tokens) and tokens[at + 1].word in NEGATIONS)
        return plain and token.word not in MODALS and token.word in (OF_MANY if number == "one" else OF_ONE)
    if token.is_mark or not is_boundary(tokens, at + 1) or _is_finite(tokens, at + 1):
        return False
    return token.is_base_verb if number == "one" else token.is_s_verb


def _is_finite(tokens: Sequence[Token], at: int) -> bool:
    """Whether another verb follows, so that the first was none: "the bus ride was"."""
    return at < len(tokens) and (tokens[at].word in AUXILIARIES or tokens[at].tag == "VBD")


RULES = (
    pronoun_agreement, pronoun_verb, noun_agreement, relative_agreement, there_agreement, question_agreement,
)  # fmt: skip
