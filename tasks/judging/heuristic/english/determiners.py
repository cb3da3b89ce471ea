"""What stands before a noun goes with it: number, articles, one determiner at a time."""

from collections.abc import Iterator, Sequence

from tasks.judging.heuristic.english.phrases import (
    DETERMINERS,
    MANY,
    SINGULAR_DETERMINERS,
    Fault,
    fault,
    is_boundary,
    noun_run,
    number_of,
)
from tasks.judging.heuristic.english.tokens import (
    ARTICLES,
    BEFORE_NOUN,
    EITHER,
    END,
    FINITE_BE,
    NUMBERS,
    OBJECTS,
    ONLY_PAST,
    POSSESSIVES,
    PREPOSITIONS,
    SUBJECTS,
    Token,
    word_set,
)

_OF_ONE = SINGULAR_DETERMINERS - {"that"}
_NOT_AFTER = word_set("no at the was is number page were are am 's be you we us them")  # no one; at two; Tom was three
_MORE_OF_ONE = word_set("few couple lot dozen hundred great thousand million pair two three four five ten six")


def one_before_many(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "A dogs", "every cats", "this big flowers"."""
    for at, token in enumerate(tokens):
        if token.word not in _OF_ONE or (token.word == "one" and at and tokens[at - 1].word in _NOT_AFTER):
            continue
        end = noun_run(tokens, at + 1)
        inside = tokens[at + 1 : end]
        if (
            not inside
            or inside[0].word == "other"
            or any(each.word in _MORE_OF_ONE | EITHER or each.tag == "CD" for each in inside)
        ):
            continue
        sure = inside[-1].is_plural and (token.word != "this" or _is_noun_by_place(tokens, end))
        if token.word == "one" and (any(each.tag == "NN" for each in inside) or "VBZ" in inside[-1].forms):
            continue  # one afternoon guests came; as one talks
        if sure and is_boundary(tokens, end) and not _is_owner(tokens, end):
            yield fault("one_before_many", tokens, at, end)


def _is_noun_by_place(tokens: Sequence[Token], end: int) -> bool:
    """Whether a verb or a preposition follows: "this helps" has none."""
    return end < len(tokens) and (tokens[end].word in FINITE_BE or tokens[end].tag in ("VBD", "MD"))


def many_before_one(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "These dog", "many cake", "two big tree"."""
    for at, token in enumerate(tokens):
        if token.word not in MANY or (token.word in NUMBERS and at and tokens[at - 1].word in _NOT_AFTER):
            continue
        end = noun_run(tokens, at + 1)
        inside = tokens[at + 1 : end]
        if not inside or not is_boundary(tokens, end) or _is_owner(tokens, end) or inside[0].word in _MEASURED:
            continue
        if any(each.tag in ("NNS", "CD", "NNP") or "NNS" in each.forms or each.word in EITHER for each in inside):
            continue
        if number_of(inside[-1]) == "one" and not _is_pronoun_there(tokens, at, end):
            yield fault("many_before_one", tokens, at, end)


_MEASURED = word_set("year foot inch mile day hour minute week month pound")  # a three year old boy


def _is_pronoun_there(tokens: Sequence[Token], at: int, end: int) -> bool:
    """ "The two hug", "these smell", "both cake and tea": words that stand alone, before what may be a verb."""
    is_verb = {"VB", "VBD"} & tokens[end - 1].forms and end - at == 2
    after_the = at > 0 and tokens[at - 1].word in ARTICLES | POSSESSIVES | {"these", "those"}
    alone = tokens[at].word in ("these", "those", "both") or (tokens[at].word in NUMBERS and after_the)
    follows_verb = end < len(tokens) and tokens[end].word in PREPOSITIONS | ARTICLES | POSSESSIVES | OBJECTS
    is_both = tokens[at].word == "both" and (is_verb or (end < len(tokens) and tokens[end].word == "and"))
    return bool(is_both or (is_verb and alone and follows_verb))


def much_before_many(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "Much cookies", "too much toys", "less apples"."""
    for at, token in enumerate(tokens):
        if token.word not in ("much", "less"):
            continue
        end = noun_run(tokens, at + 1)
        inside = tokens[at + 1 : end]
        is_plain = all(each.tag in ("JJ", "NN", "NNS") for each in inside)
        if inside and is_plain and inside[-1].is_plural and is_boundary(tokens, end):
            yield fault("much_before_many", tokens, at, end)


def one_of_one(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "One of the dog", "two of his friend", "many of my toy"."""
    for at in range(len(tokens) - 3):
        if tokens[at + 1].word != "of" or tokens[at].word not in MANY | {"one", "each"}:
            continue
        if tokens[at + 2].word not in ARTICLES | POSSESSIVES | {"these", "those"}:
            continue
        end = noun_run(tokens, at + 3)
        if end == at + 3 or not is_boundary(tokens, end) or _is_owner(tokens, end) or tokens[at + 2].word == "a":
            continue
        inside = tokens[at + 3 : end]
        if all(each.tag in ("NN", "JJ", "JJS") for each in inside) and number_of(inside[-1]) == "one":
            yield fault("one_of_one", tokens, at, end)


_FIRST = BEFORE_NOUN - {"his"}  # which may stand alone
_SECOND = ARTICLES | word_set("my your his our their these those")


def doubled_determiner(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "The my dog", "a the cat", "my a ball"."""
    for at in range(len(tokens) - 1):
        word, after = tokens[at].word, tokens[at + 1]
        # the same twice is told by the rule for doubled words
        if word in _FIRST and after.word in _SECOND - {word} and not after.text.istitle():
            yield fault("doubled_determiner", tokens, at, at + 2)


_NO_NOUN = (
    (ONLY_PAST - word_set("saw rose fell bit rode wore tore drove bore froze broke"))
    | word_set("is was were are am has had did of to and but or because")
    | SUBJECTS
    | OBJECTS
)


def determiner_alone(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "The is", "my and", "a of", "their.": no noun follows."""
    for at in range(len(tokens) - 1):
        if tokens[at].word not in _FIRST:
            continue
        after = tokens[at + 1]
        if after.text.isupper() or (tokens[at].text == "A" and at):
            continue  # the letter A, "the I"
        if after.word in _NO_NOUN or (after.word in END and tokens[at].word in ("an", "my", "their", "every", "our")):
            yield fault("determiner_alone", tokens, at, at + 2)


COUNTED = word_set(
    "dog cat boy girl ball tree box bird frog rabbit fox bear duck mouse horse cow pig hen goat puppy kitten baby "
    "flower apple banana carrot cookie cup plate spoon hat coat shoe boot shirt dress bag basket bike boat car "
    "truck train kite doll toy book pencil crayon chair table door window wall roof bridge river lake pond hill "
    "mountain cave castle shop store garden farm barn nest egg leaf stick stone rock shell star cloud rainbow "
    "puddle key bell drum flute lamp candle bottle jar bucket bowl pot pan ladder rope wheel tower tent blanket "
    "pillow brush mirror ring crown sword map coin card letter picture story song dragon monster witch wizard "
    "king queen prince princess knight farmer baker teacher doctor neighbour neighbor stranger butterfly bee ant "
    "spider worm snail turtle squirrel owl lion tiger elephant monkey giraffe zebra whale dolphin shark crab "
    "robot rocket plane bus wagon sled swing slide"
)
_BARE = PREPOSITIONS - {"by", "of", "like", "before", "after", "next", "on", "until", "to"}
_BEFORE_OBJECT = word_set(
    "saw found took gave bought got made had has have want wanted wants need needed needs see find take buy get "
    "give make held hold carried carry picked opened open closed close climbed climb threw throw caught catch "
    "was is became become"
)


def missing_article(tokens: Sequence[Token]) -> Iterator[Fault]:
    """ "He saw dog", "she sat under big tree", "Dog ran away": of nouns that can't stand bare."""
    for at, token in enumerate(tokens):
        if token.word not in COUNTED or token.text[:1].isupper() or token.tag != "NN":
            continue
        if not is_boundary(tokens, at + 1) or _is_owner(tokens, at + 1):
            continue
        if at + 1 < len(tokens) and tokens[at + 1].word in ("and", "or", "to", "by", "after", "of", "on", ","):
            continue  # cat and mouse, tree to tree, book by book
        start = at
        while (
            start
            and tokens[start - 1].tag == "JJ"
            and tokens[start - 1].word != "next"
            and tokens[start - 1].word not in DETERMINERS
        ):
            start -= 1
        before = tokens[start - 1].word if start else ""
        if before in _BARE or before in _BEFORE_OBJECT or _is_deed(tokens, start - 1):
            yield fault("missing_article", tokens, start - 1, at + 1)


def _is_deed(tokens: Sequence[Token], at: int) -> bool:
    """Whether a past form has its subject before it, so that its object follows: "he kicked", no "lost ball"."""
    if at < 1 or not tokens[at].is_past or tokens[at].word in ("named", "called", "played", "turned", "jumped"):
        return False
    return tokens[at - 1].word in SUBJECTS or tokens[at - 1].is_name


def _is_owner(tokens: Sequence[Token], end: int) -> bool:
    return end < len(tokens) and tokens[end].word in ("'s", "'", "-", "'re")


RULES = (
    one_before_many, many_before_one, much_before_many, one_of_one, doubled_determiner, determiner_alone,
    missing_article,
)  # fmt: skip
