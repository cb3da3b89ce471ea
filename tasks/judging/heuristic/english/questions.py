"""Questions in their order, and times that go with the tense."""

from collections.abc import Iterator, Sequence

from tasks.judging.heuristic.english.phrases import Fault, fault, is_boundary, noun_phrase
from tasks.judging.heuristic.english.tokens import (
    ARTICLES,
    ASKING,
    AUXILIARIES,
    END,
    FINITE_BE,
    MODALS,
    PERSONS,
    POSSESSIVES,
    QUOTES,
    THIRD_PERSONS,
    Token,
    word_set,
)


def question_order(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Where the dog is?", "Why she is crying?", "What you want?"."""
    at = _start_of_question(tokens)
    if at is None or tokens[at].word not in ASKING:
        return
    end = at + 1
    if tokens[end].word in PERSONS:
        end += 1
    elif tokens[at].word in ("where", "why", "when") and (found := noun_phrase(tokens, end)):
        end = found.end
    else:
        return
    if end < len(tokens) and _is_verb(tokens[end]) and not _asks_later(tokens, end):
        yield fault("question_order", tokens, at, end + 1)


def _is_verb(token: Token) -> bool:
    return token.word in AUXILIARIES or token.tag in ("VBD", "VBZ", "VB", "VBP")


def _asks_later(tokens: Sequence[Token], at: int) -> bool:
    """ "When he comes, will you go?": the question is asked behind a comma."""
    return any(token.word in (",", "-", "...") or token.word in QUOTES for token in tokens[at:-1])


def _start_of_question(tokens: Sequence[Token]) -> int | None:
    """The first word of what ends in a question mark; None where nothing does, or other words stand before."""
    mark = next((at for at, token in enumerate(tokens) if token.word in END), None)
    if mark is None or tokens[mark].word != "?":
        return None
    start = next((at for at, token in enumerate(tokens) if token.word not in QUOTES), 0)
    return start if start + 2 < mark else None


def verb_before_subject(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Likes he cake?", "What wants she?", "Want you cake?": no auxiliary asks."""
    at = _start_of_question(tokens)
    if at is None:
        return
    at += tokens[at].word in ASKING
    verb, after = tokens[at], tokens[at + 1]
    if verb.word in AUXILIARIES | _OPINIONS or after.word not in PERSONS - {"it", "you"}:
        return
    if verb.tag in ("VBZ", "VBD", "VBP", "VB", "NNS") and {"VBZ", "VBD", "VB"} & verb.forms:
        yield fault("verb_before_subject", tokens, at, at + 2)


_OPINIONS = word_set("let suppose think know say said guess")


def two_auxiliaries(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Does he is sad?", "Is she can swim?", "Did they are late?", "Is he want it?"."""
    at = _start_of_question(tokens)
    if at is None:
        return
    at += tokens[at].word in ASKING
    if tokens[at].word not in AUXILIARIES:
        return
    found = noun_phrase(tokens, at + 1)
    end = found.end if found else at + 2 if tokens[at + 1].word in PERSONS else None
    if end is None or end >= len(tokens) or (found and not is_boundary(tokens, end) and tokens[end].tag == "NN"):
        return
    again = tokens[end].word in FINITE_BE | MODALS | {"does", "did", "has"}
    wants = tokens[at].word in FINITE_BE and tokens[end].is_base_verb and tokens[end].word in _STATES
    if again or wants:
        yield fault("two_auxiliaries", tokens, at, end + 1)


_STATES = word_set("want need know see eat go have make take give come think believe remember")


def time_and_tense(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Yesterday he goes", "Last night they will", "Tomorrow we went"."""
    words = [token.word for token in tokens]
    if any(word in QUOTES for word in words):
        return
    is_past = "yesterday" in words or _has_pair(words, "last", _TIMES) or (words[-2:-1] == ["ago"])
    is_future = words[:1] == ["tomorrow"] or words[-2:-1] == ["tomorrow"] or _has_pair(words[:2], "next", _TIMES)
    finite = [token for at, token in enumerate(tokens) if _is_finite(token) or _is_plain_present(tokens, at)]
    if not finite or is_past == is_future:
        return
    shown = next(at for at, token in enumerate(tokens) if token is finite[0])
    if (is_past and all(_is_present(token) for token in finite) and words[:1] != ["what"]) or (
        is_future and len(finite) == 1 and _is_sure_past(finite[0]) and shown < 5 and "to" not in words[:shown]
    ):
        yield fault("time_and_tense", tokens, shown, shown + 1)


_TIMES = word_set("night week year month summer winter spring autumn monday sunday saturday friday morning time")


def _has_pair(words: Sequence[str], first: str, second: frozenset[str]) -> bool:
    """The two next to each other, the first not behind "the" or "at"."""
    return any(
        word == first and words[at + 1] in second and (at == 0 or words[at - 1] not in ("the", "at", "one", "his"))
        for at, word in enumerate(words[:-1])
    )


def _is_finite(token: Token) -> bool:
    if token.word in AUXILIARIES or token.word in ("'d", "'ll"):
        return True
    return bool({"VBD", "VBZ"} & token.forms) and token.tag in ("VBD", "VBN", "VBZ", "VBP", "VB")


def _is_present(token: Token) -> bool:
    if token.word in AUXILIARIES:
        return token.word in ("is", "are", "am", "has", "have", "does", "do", "will")
    return token.word == "'ll" or ((token.is_s_verb or token.is_base_verb) and "VBD" not in token.forms)


def _is_plain_present(tokens: Sequence[Token], at: int) -> bool:
    """ "They see", without an auxiliary before."""
    asked = at > 1 and tokens[at - 2].word in AUXILIARIES
    return at > 0 and tokens[at - 1].word in PERSONS - THIRD_PERSONS and tokens[at].is_base_verb and not asked


def _is_sure_past(token: Token) -> bool:
    return token.is_past_only and token.word not in ("was", "were")


def mixed_tense(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "He opened the door and sees a cat": one subject, two times."""
    if any(token.word in QUOTES for token in tokens):
        return
    for at in range(3, len(tokens) - 1):
        if tokens[at - 1].word != "and" or not tokens[at].is_s_verb or not is_boundary(tokens, at + 1):
            continue
        if "NNS" in tokens[at].forms and tokens[at + 1].word not in ARTICLES | POSSESSIVES:
            continue  # toys and treats
        before = [token for token in tokens[:at] if _is_finite(token)]
        opens = any(token.word == "that" for token in tokens[:at])
        if before and not opens and all(token.tag == "VBD" or token.is_past_only for token in before):
            yield fault("mixed_tense", tokens, at - 1, at + 1)


RULES = (question_order, verb_before_subject, two_auxiliaries, time_and_tense, mixed_tense)
