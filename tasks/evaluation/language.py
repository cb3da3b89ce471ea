"""Words, sentences, stems and inflected forms of English, as far as measures and baselines need them."""

import re
import string
from collections import Counter
from functools import cache, lru_cache
from typing import Any

from tasks.storybook.generator.inflect import IRREGULAR_COMPARATIVES, IRREGULAR_PAST, IRREGULAR_PLURALS
from tasks.storybook.generator.words import lexicon

_TOKEN = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W\d_a-zåäö]|[\"'“‘(\[]?\d)|\n+")
_TITLES = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|[A-Z])\.$")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_MARKS = str.maketrans("", "", string.punctuation + "“”‘’…–—")
_DOUBLING = re.compile(r"^[^aeiou]*[aeiou][bdgklmnprtv]$")

_STOP_WORDS = (
    "a about after again all also am an and any are as at away back be because been before being both but by can "
    "could did do does doing down each even every few for from get go got had has have having he her here hers "
    "herself him himself his how i if in into is it its itself just like made make many may me might more most much "
    "must my myself never no nor not now of off on once one only or other our ours out over own said say says "
    "shall she should so some someone something still such than that the their theirs them themselves then there "
    "these they this those through to together too under until up upon us very was we were what when where which "
    "while who whom whose why will with without would yes you your yours yourself "
    "dont doesnt didnt cant couldnt wont wouldnt isnt arent wasnt werent havent hasnt hadnt im ive ill id youre "
    "theyre thats whats lets"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
IRREGULAR_FORMS = {
    **{base: {past} for base, past in IRREGULAR_PAST.items()},
    "be": {"am", "is", "are", "was", "were", "been", "being"},
    "have": {"has", "had"},
}
_PARTICIPLES = {
    "begin": "begun", "bite": "bitten", "blow": "blown", "break": "broken", "choose": "chosen", "do": "done",
    "draw": "drawn", "drink": "drunk", "drive": "driven", "eat": "eaten", "fall": "fallen", "fly": "flown",
    "forget": "forgotten", "freeze": "frozen", "give": "given", "go": "gone", "grow": "grown", "hide": "hidden",
    "know": "known", "lie": "lain", "ride": "ridden", "ring": "rung", "rise": "risen", "see": "seen",
    "shake": "shaken", "sing": "sung", "sink": "sunk", "speak": "spoken", "steal": "stolen", "swim": "swum",
    "take": "taken", "tear": "torn", "throw": "thrown", "wake": "woken", "wear": "worn", "write": "written",
}  # fmt: skip


def tokens(text: str) -> list[str]:
    """Words (an apostrophe or hyphen inside joins) and single marks, as they are written."""
    return _TOKEN.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break ends one, the full stop of a title or an initial does not."""
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        head = text[start : match.end()].strip()
        if "\n" not in match[0] and _TITLES.search(head):
            continue
        found.append(head)
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def normalised(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's scoring, arXiv:1606.05250)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_MARKS)).split())


def token_f1(prediction: str, reference: str) -> float:
    """F1 of shared normalised words, 1 where both have none (SQuAD's, arXiv:1606.05250, section 6)."""
    said, wanted = _words_of(prediction), _words_of(reference)
    if not said or not wanted:
        return float(said == wanted)
    shared = sum(min(count, wanted[word]) for word, count in said.items() if word in wanted)
    return 2 * shared / (said.total() + wanted.total())


@lru_cache(maxsize=20_000)  # the baseline of the assistant compares some thousands of answers with each other
def _words_of(text: str) -> Counter[str]:
    return Counter(normalised(text).split())


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The Porter stem of a word, in lower case."""
    return str(_porter().stem(word))


class Stemmer:
    """`stem` as the object that rouge_score and nltk ask for; remembering makes it twenty times faster."""

    def stem(self, word: str) -> str:
        return stem(word)


@cache
def _porter() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


def same_word(first: str, second: str) -> bool:
    """Whether two words are inflected forms of one (ran, running; child, children; big, bigger)."""
    first, second = first.lower(), second.lower()
    return first == second or bool(_bases(first) & _bases(second))


@lru_cache(maxsize=50_000)
def _bases(word: str) -> frozenset[str]:
    """The words whose inflected form it can be, itself among them."""
    found = {word} | _irregular_bases().get(word, set())
    for ending in ("'s", "s", "es", "ed", "d", "ing", "er", "est", "r", "st"):
        if word.endswith(ending) and len(word) >= len(ending) + 2:
            bases = _stems_of(word.removesuffix(ending), ending)
            found |= bases & _adjectives() if ending in ("er", "est", "r", "st") else bases  # a runner is no "run"
    return frozenset(found)


def _stems_of(rest: str, ending: str) -> set[str]:
    """The base forms that give the rest before an ending: stopp -> stop, bak -> bake, cri -> cry."""
    if ending in ("'s", "s", "d", "r", "st"):
        return {rest} if ending in ("'s", "s") or rest.endswith("e") else set()
    found = {rest}
    if len(rest) > 2 and rest[-1] == rest[-2] and _DOUBLING.match(rest[:-1]):
        found.add(rest[:-1])
    if rest.endswith("i"):
        found.add(rest[:-1] + "y")
    if ending != "es":
        found.add(rest + "e")
    return found


@cache
def _adjectives() -> set[str]:
    """The adjectives that are known to have a comparative: those of the storybook's lexicon."""
    return set(lexicon().adjectives)


@cache
def _irregular_bases() -> dict[str, set[str]]:
    """Each irregular form with the words it belongs to."""
    found: dict[str, set[str]] = {}
    pairs = [(form, base) for base, forms in IRREGULAR_FORMS.items() for form in forms]
    pairs += [(form, base) for base, form in (*IRREGULAR_PLURALS.items(), *_PARTICIPLES.items())]
    pairs += [(form, base) for base, form in IRREGULAR_COMPARATIVES.items()]
    pairs += [("best", "good"), ("worst", "bad")]
    for form, base in pairs:
        found.setdefault(form, set()).add(base)
    return found
