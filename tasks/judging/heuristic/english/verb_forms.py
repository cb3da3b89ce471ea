"""Verbs in the form that the word before them asks for: after modals, to, do, have, be; past forms that exist."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from tasks.judging.heuristic.english.phrases import Fault, fault, noun_phrase
from tasks.judging.heuristic.english.tokens import (
    ADVERBS,
    ARTICLES,
    AUXILIARIES,
    DO,
    END,
    FINITE_BE,
    HAVE,
    MODALS,
    NEGATIONS,
    NOUN_TAGS,
    PERSONS,
    POSSESSIVES,
    PREPOSITIONS,
    QUOTES,
    SUBJECTS,
    WH,
    Token,
    word_set,
)

_COMPARES = word_set("as than like what all everything whatever whoever thing things way best only that which who")


def after_modal(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Can runs", "will not went", "must going"; "can he runs"."""
    for at, token in enumerate(tokens):
        if token.word not in MODALS or (token.word in ("can", "will", "might", "may") and _is_noun_there(tokens, at)):
            continue
        verb = _past_adverbs(tokens, at + 1)
        asks = verb < len(tokens) and tokens[verb].word in PERSONS and _begins(tokens, at)
        verb = _past_adverbs(tokens, verb + 1) if asks else verb
        if token.text.istitle() and not asks:  # a boy named Will
            continue
        if verb < len(tokens) and _is_inflected(tokens[verb]) and not _compares(tokens, at):
            yield fault("after_modal", tokens, at, verb + 1)


def _is_noun_there(tokens: Sequence[Token], at: int) -> bool:
    """ "The can fell", "his will was"."""
    return at > 0 and (tokens[at - 1].word in ARTICLES | POSSESSIVES or tokens[at - 1].tag in ("JJ", "VBG"))


def _is_inflected(token: Token) -> bool:
    """Surely a form of a verb that is not its base."""
    if token.word in AUXILIARIES:
        return token.word not in MODALS | {"do", "have"}
    if token.is_past_only or token.is_participle_only:
        return True
    if token.tag == "VBG" and "VBG" in token.forms:
        return True
    verbal = {"VBD", "VBZ"} & token.forms and not {"VB", "NN", "JJ", "RB"} & token.forms
    return bool(verbal) and token.tag in ("VBD", "VBN", "VBZ")


def after_do(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Didn't went", "does not likes"; "Did the boy went?", "What does she wants?"."""
    for at, token in enumerate(tokens):
        if token.word not in DO or at + 1 >= len(tokens):
            continue
        if tokens[at + 1].word in NEGATIONS:
            verb = _past_adverbs(tokens, at + 2)
            verb = _past_subject(tokens, verb) if _begins(tokens, at) else verb
        elif _begins(tokens, at):
            verb = _past_subject(tokens, at + 1)
            if verb == at + 1:
                continue
        else:
            continue
        if verb < len(tokens) and _is_inflected(tokens[verb]):
            yield fault("after_do", tokens, at, verb + 1)


def _past_subject(tokens: Sequence[Token], at: int) -> int:
    found = noun_phrase(tokens, at)
    if found is None and at < len(tokens) and tokens[at].word in ("you", "i"):
        return _past_adverbs(tokens, at + 1)
    return _past_adverbs(tokens, found.end) if found else at


def after_to(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "To went", "wanted to played", "likes to eats"."""
    for at in range(1, len(tokens) - 1):
        verb = tokens[at + 1]
        if tokens[at].word != "to" or verb.text[:1].isupper():
            continue
        sure = verb.is_past_only or verb.is_participle_only or verb.word in ("is", "has", "does")
        takes = tokens[at - 1].word in _TAKES_TO
        if (sure or (takes and _is_inflected(verb))) and verb.word not in ("been", "known", "hidden", "broken", "lost"):
            yield fault("after_to", tokens, at - 1, at + 2)


_TAKES_TO = word_set(
    "want wants wanted like likes liked love loves loved try tries tried need needs needed start starts started began "
    "begin decide decides decided hope hoped learn learned learns had has have going able ready forgot helped"
)


def after_have(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Has went", "had ate", "have saw", "had go"."""
    for at, token in enumerate(tokens):
        if token.word not in HAVE:
            continue
        verb = _past_adverbs(tokens, at + 1)
        if verb >= len(tokens) or _compares(tokens, at) or not _has_own_subject(tokens, at):
            continue
        past = tokens[verb].is_past_only and tokens[verb].word not in ("was", "were", "did")
        base = tokens[verb].is_base_verb and "NN" not in tokens[verb].forms and verb > 0
        if past or (base and tokens[at].word != "have"):
            yield fault("after_have", tokens, at, verb + 1)


def _has_own_subject(tokens: Sequence[Token], at: int) -> bool:
    """Not "the toys he had broke": a noun right before the subject pronoun."""
    return not (at > 1 and tokens[at - 1].word in PERSONS and tokens[at - 2].tag in NOUN_TAGS)


def after_be(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Was went", "is eat", "are ran", "is goes"."""
    for at, token in enumerate(tokens):
        if token.word not in FINITE_BE or (at and tokens[at - 1].word in WH):
            continue
        verb = _past_adverbs(tokens, at + 1)
        if verb >= len(tokens) or _compares(tokens, at) or any(each.word in DO for each in tokens[:at]):
            continue
        found = tokens[verb]
        past = found.is_past_only and found.word not in AUXILIARIES | {"shook", "froze"}
        base = found.is_base_verb and not {"NN", "JJ"} & found.forms and found.word not in _NO_VERB
        base = base or found.word in ("go", "eat", "run", "sleep", "make", "take")
        present = found.tag == "VBZ" and "VBZ" in found.forms and found.word not in AUXILIARIES
        if past or (base and _plain_before(tokens, at)) or present:
            yield fault("after_be", tokens, at, verb + 1)


_NO_VERB = word_set("please let say said thank")


def _plain_before(tokens: Sequence[Token], at: int) -> bool:
    """Whether a plain subject stands before: "all he wanted was go", "his goal is ..." don't count."""
    return at > 0 and (tokens[at - 1].word in PERSONS or tokens[at - 1].is_name or tokens[at - 1].tag == "NNS")


def participle_alone(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "He gone home", "they done it", "Tom seen a cat"; no auxiliary helps."""
    for at in range(len(tokens) - 1):
        verb = _past_adverbs(tokens, at + 1)
        if verb >= len(tokens) or not tokens[verb].is_participle_only or tokens[verb].word == "been":
            continue
        if (tokens[at].word in SUBJECTS and not _is_helped(tokens, at)) or (
            _is_only_verb(tokens, verb) and (found := _first_phrase(tokens)) and found == at + 1
        ):
            yield fault("participle_alone", tokens, at, verb + 1)


def _is_helped(tokens: Sequence[Token], at: int) -> bool:
    """An auxiliary before the subject, or a comparison: "had he seen", "as he grown"."""
    before = [token.word for token in tokens[max(0, at - 4) : at]]
    return any(word in AUXILIARIES or word in NEGATIONS or word in ("'s", "'d", "'ve") for word in before)


def _first_phrase(tokens: Sequence[Token]) -> int | None:
    found = noun_phrase(tokens, 0)
    return found.end if found and tokens[0].word not in PERSONS else None


def _is_only_verb(tokens: Sequence[Token], at: int) -> bool:
    """Whether no other verb of the sentence is finite, and nobody is said to have done it."""
    others = [token for place, token in enumerate(tokens) if place != at]
    return tokens[at + 1 : at + 2] != [] and not any(
        token.word in AUXILIARIES or token.word in ("'s", "'d", "'re", "by") or token.tag in ("VBD", "VBZ", "VBP", "MD")
        for token in others
    )


def made_up_form(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Runned", "eated", "childs", "mouses": regular endings on irregular words."""
    for at, token in enumerate(tokens):
        if (token.text.islower() and _is_made_up(token.word)) or token.word in _WRONG_PLURALS:
            yield fault("made_up_form", tokens, at, at + 1)


_WRONG_PLURALS = word_set(
    "childs mouses mices gooses geeses sheeps deers tooths teeths feets womans thiefs shelfs wifes "
    "loafs calfs oxes tomatos potatos knifes lifes"
)


@lru_cache(maxsize=50_000)
def _is_made_up(word: str) -> bool:
    from lemminflect import getAllLemmas, getInflection

    if not word.endswith("ed") or len(word) < 5 or word in _REAL:
        return False
    for base in {word[:-2], word[:-1], word[:-3] if word[-3:-2] == word[-4:-3] else ""} - {""}:
        if "VERB" not in getAllLemmas(base, upos="VERB"):
            continue
        known = getInflection(base, tag="VBD") + getInflection(base, tag="VBN")
        if known and word not in known and not any(form.endswith("ed") for form in known):
            return True
    return False


_REAL = word_set(
    "knitted hanged shined weaved fitted lighted waked betted sweated wetted costed grinded need seed feed bleed breed"
)


def double_comparison(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "More bigger", "most tallest", "more better"."""
    for at in range(len(tokens) - 1):
        after = tokens[at + 1]
        grade = {"more": "er", "most": "est"}.get(tokens[at].word)
        irregular = (tokens[at].word, after.word) in (("more", "better"), ("more", "worse"), ("most", "best"))
        regular = grade and after.word.endswith(grade) and after.tag in ("JJR", "JJS", "RBR")
        if irregular or (regular and len(after.word) > 4 and "NN" not in after.forms):
            yield fault("double_comparison", tokens, at, at + 2)


def no_verb(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "He happy.", "She in the garden.", "They a family.": a subject without a verb."""
    if len(tokens) < 3 or tokens[0].word not in ("he", "she", "they", "we", "it") or _has_finite(tokens):
        return
    after = tokens[1]
    if after.word in (ARTICLES | PREPOSITIONS | {"very", "so", "not", "too"}) - {"like", "up", "down"} or (
        after.tag == "JJ" and not {"VB", "VBD", "VBZ"} & after.forms
    ):
        yield fault("no_verb", tokens, 0, 2)


def _has_finite(tokens: Sequence[Token]) -> bool:
    return any(token.word in AUXILIARIES or token.word in ("'s", "'re", "'d", "'ll", "'ve") for token in tokens)


def double_negation(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Didn't see nothing", "don't have no cake"."""
    for at, token in enumerate(tokens):
        if token.word != "n't" or any(each.word in QUOTES for each in tokens[at : at + 5]):
            continue
        for place in range(at + 2, min(at + 5, len(tokens))):
            if tokens[place].is_mark or tokens[place].word in ("and", "but", "or", "if"):
                break
            if tokens[place].word in ("nothing", "nobody", "never", "nowhere") or (
                tokens[place].word == "no" and place + 1 < len(tokens) and tokens[place + 1].tag in ("NN", "NNS")
                and tokens[place + 1].word != "matter"
            ):  # fmt: skip
                yield fault("double_negation", tokens, at - 1, place + 1)


def _begins(tokens: Sequence[Token], at: int) -> bool:
    """Whether an auxiliary begins a question: first, after a mark or after a question word."""
    return at == 0 or tokens[at - 1].word in WH or tokens[at - 1].word in QUOTES or tokens[at - 1].word in (*END, ",")


def _compares(tokens: Sequence[Token], at: int) -> bool:
    """Whether words before open a clause in which the object came first: "all she had went"."""
    return any(token.word in _COMPARES for token in tokens[max(0, at - 7) : at])


_BEFORE_VERB = ADVERBS - {"all", "both", "once"}


def _past_adverbs(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and (
        tokens[at].word in NEGATIONS
        or tokens[at].word in _BEFORE_VERB
        or (tokens[at].tag == "RB" and tokens[at].word.endswith("ly"))
    ):
        at += 1
    return at


RULES = (
    after_modal, after_do, after_to, after_have, after_be, participle_alone, made_up_form, double_comparison, no_verb,
    double_negation,
)  # fmt: skip
