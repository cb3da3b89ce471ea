"""Words with their parts of speech, as far as rules of grammar need them: a kept tagger's and a kept lexicon's.

The tagger (TextBlob's, Brill's rules over a lexicon) says what a word most likely is where it stands, the lexicon
(lemminflect's, from the NIH's SPECIALIST) what forms it can be at all. A rule that wants to be sure asks both.
Tags are those of the Penn Treebank, https://catalog.ldc.upenn.edu/docs/LDC99T42/tagguid1.pdf.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

_TOKEN = re.compile(
    r"(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*?)(?P<not>n't)\b"
    r"|o'clock|[^\W_]+(?:[-][^\W_]+)*|['](?:s|re|ve|ll|d|m)\b|\.\.\.|[^\w\s]"
)
_WHOLE = {"ca": "can", "wo": "will", "sha": "shall", "ai": "ain"}  # before n't


def word_set(listed: str) -> frozenset[str]:
    """The words of a list between blanks."""
    return frozenset(listed.split())


VERB_TAGS = ("VB", "VBP", "VBZ", "VBD", "VBG", "VBN")
NOUN_TAGS = ("NN", "NNS", "NNP")
FINITE_BE = word_set("am is are was were")
HAVE = word_set("have has had 've")
DO = word_set("do does did")
MODALS = word_set("can could will would shall should may might must 'll")
AUXILIARIES = FINITE_BE | word_set("has have had do does did") | MODALS
ARTICLES = frozenset(("a", "an", "the"))
POSSESSIVES = word_set("my your his her its our their whose")
BEFORE_NOUN = ARTICLES | word_set("my your his our their its every")
NUMBERS = word_set("two three four five six seven eight nine ten")
SUBJECTS = word_set("i he she we they")
PERSONS = SUBJECTS | {"you", "it"}
THIRD_PERSONS = word_set("he she it")
OBJECTS = word_set("me him them us")
PRONOUNS = SUBJECTS | OBJECTS | word_set("you it her this that these those")
INDEFINITE = word_set(
    "everyone everybody everything someone somebody something anyone anybody anything nobody nothing none mine yours "
    "hers ours theirs myself yourself himself herself itself ourselves themselves who what which one"
)
PREPOSITIONS = word_set(
    "about above across after against along among around at before behind below beneath beside besides between beyond "
    "by down during for from in inside into near next of off on onto out outside over past since through to toward "
    "towards under underneath until up upon with within without like"
)
CONJUNCTIONS = word_set("and but or nor so because if when while although though unless until as than that")
ASKING = word_set("what where when why how who")
WH = ASKING | word_set("whom whose which")
RELATIVES = word_set("that who which")
NEGATIONS = frozenset(("n't", "not"))
ADVERBS = word_set(
    "never always often also just really still already only even ever soon suddenly almost sometimes usually now then "
    "quickly finally both all once again hardly nearly"
)
END = (".", "!", "?")
QUOTES = frozenset("\"“”'‘’")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a mark. word: in lower case; tag: what it most likely is; forms: what it can be."""

    text: str
    word: str
    tag: str
    forms: frozenset[str]

    @property
    def is_mark(self) -> bool:
        return not self.word[-1:].isalnum()

    @property
    def is_name(self) -> bool:
        return (
            self.tag == "NNP" and self.text[:1].isupper() and self.word not in CONJUNCTIONS and "NNS" not in self.forms
        )

    @property
    def is_plural(self) -> bool:
        """Surely a plural noun."""
        return self.tag == "NNS" and "NNS" in self.forms and not {"NN", "JJ"} & self.forms

    @property
    def is_singular(self) -> bool:
        """Surely a singular noun that is no name."""
        return self.tag == "NN" and "NN" in self.forms and "NNS" not in self.forms and self.word not in EITHER

    @property
    def is_past_only(self) -> bool:
        """A past form and no participle, base form or noun: went, ate, was."""
        return self.word in ONLY_PAST

    @property
    def is_participle_only(self) -> bool:
        """A participle and no past form: gone, eaten, seen."""
        return self.word in ONLY_PARTICIPLE

    @property
    def is_base_verb(self) -> bool:
        """Most likely a verb in its base form, and no past form, participle or adjective."""
        return self.tag in ("VB", "VBP") and "VB" in self.forms and not {"VBD", "VBN"} & self.forms

    @property
    def is_s_verb(self) -> bool:
        """Most likely a verb in the third person of the present."""
        return self.tag == "VBZ" and "VBZ" in self.forms

    @property
    def is_past(self) -> bool:
        return "VBD" in self.forms and self.tag in ("VBD", "VBN")

    @property
    def is_descriptive(self) -> bool:
        """What may stand between a determiner and its noun: adjectives, adverbs of degree, participles."""
        return self.tag in ("JJ", "JJR", "JJS", "VBN", "VBG") or self.word in _DEGREE


_DEGREE = word_set("very really so too quite rather most more big little pretty other same own")
PLURAL_ONLY = word_set("clothes pyjamas pajamas stairs")
EITHER = word_set(
    "fish jellyfish goldfish starfish "
    "sheep deer moose shrimp family team class group crowd band crew staff couple pair lot number bunch dozen "
    "hundred thousand million kind sort type rest half majority plenty none any people police crossroads means series "
    "species aircraft salmon trout swine bison army audience public everything hair fruit woods herd flock pack team"
)  # nouns that go with both numbers, as they are meant
ONLY_PAST = word_set(
    "went ate saw fell ran came gave took wrote broke flew drew threw grew knew blew drank sang sank swam rang rode "
    "drove rose chose spoke stole froze wore tore woke forgot hid began did was were became swore bit arose forgave"
)  # the lexicon also has rare verbs (to saw, to fell) and nouns
ONLY_PARTICIPLE = word_set(
    "gone eaten seen fallen given taken written broken flown drawn thrown grown known blown drunk sung sunk swum rung "
    "ridden driven risen chosen spoken stolen frozen worn torn woken shaken forgotten hidden begun done been"
)


def split(sentence: str) -> list[str]:
    """Words, marks and the ends of contractions apart: "didn't" is "did" and "n't", "Tom's" is "Tom" and "'s"."""
    found: list[str] = []
    for match in _TOKEN.finditer(sentence.replace("’", "'").replace("‘", "'")):
        if match["word"]:
            found += [_WHOLE.get(match["word"].lower(), match["word"]), match["not"]]
        else:
            found.append(match[0])
    return found


def tagged(sentence: str) -> list[Token]:
    """The tokens of a sentence."""
    words = split(sentence)
    tags = [found for _, found in _tagger()(" ".join(words).replace("/", ","), tokenize=False)] if words else []
    if len(tags) != len(words):  # a character that the tagger reads as a blank
        return []
    return [_token(word, _by_place(words, tags, at)) for at, word in enumerate(words)]


@cache
def _tagger() -> Callable[..., list[tuple[str, str]]]:
    from textblob.en import tag

    with warnings.catch_warnings():  # it leaves its lexicon's file open
        warnings.simplefilter("ignore", ResourceWarning)
        tag("ready", tokenize=False)
    found: Callable[..., list[tuple[str, str]]] = tag
    return found


def _by_place(words: Sequence[str], tags: Sequence[str], at: int) -> str:
    """A noun where the tagger took a word after a determiner for a verb: "the bear", "two bears"."""
    described = at > 1 and tags[at - 1] == "JJ" and words[at - 2].lower() in BEFORE_NOUN
    determined = at > 0 and (words[at - 1].lower() in BEFORE_NOUN or tags[at - 1] == "CD")
    if tags[at] in _NOUN_FOR and (determined or described):
        noun = _NOUN_FOR[tags[at]]
        return noun if noun in forms(words[at].lower()) else tags[at]
    return tags[at]


_NOUN_FOR = {"VB": "NN", "VBP": "NN", "VBZ": "NNS"}


@lru_cache(maxsize=100_000)
def _token(text: str, found: str) -> Token:
    word = text.lower()
    return Token(text, word, found, forms(word))


_PAST = frozenset(("VBD", "VBN"))
_MOSTLY = {"found": _PAST, "left": _PAST | {"JJ"}, "felt": _PAST, "bound": _PAST | {"JJ"}}  # not: to found, the left


@lru_cache(maxsize=50_000)
def forms(word: str) -> frozenset[str]:
    """The Penn tags of the forms that a lower-case word can be; none for marks and for words in no lexicon."""
    from lemminflect import getAllLemmas, getInflection

    if not word.isalpha():
        return frozenset()
    if word in _MOSTLY:
        return _MOSTLY[word]
    found: set[str] = set()
    for kind, lemmas in getAllLemmas(word).items():
        if kind == "NOUN":  # of most nouns the lexicon has a plural that is like the singular: three fish, three cake
            found.add("NN" if set(lemmas) == {word} and word not in PLURAL_ONLY else "NNS")
        elif kind == "VERB":
            found |= {tag for lemma in lemmas for tag in VERB_TAGS if word in getInflection(lemma, tag=tag)}
        elif kind in ("ADJ", "ADV"):
            found.add("JJ" if kind == "ADJ" else "RB")
    return frozenset(found)
