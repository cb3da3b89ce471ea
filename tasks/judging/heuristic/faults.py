"""Faults of grammar by what would stand better there: another form, an article, another order.

A word that costs much may be a fault or a rare thing to say; it is a fault if a small repair is far likelier. After
Bryant and Briscoe 2018, https://aclanthology.org/W18-0529 (correction by a language model, without labelled faults):
the judge's language model compares each suspicious place with its repairs. Legend: W words of a text.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.language import IRREGULAR_FORMS, stem
from tasks.judging.heuristic.language_model import Floats, LanguageModel

SUSPICIOUS = 4.0  # bits over frequency from which a word, or the word before it, is looked at
SURE = 4.0  # bits that a repair must save before any of them count
BEFORE, AFTER = 4, 2  # words around a place that are read
MOST_FORMS = 5  # of a word, the commonest ones

_CORE = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
_SETS = (
    ("was", "were"), ("is", "are"), ("has", "have"), ("do", "does"), ("don't", "doesn't"),
    ("he", "him"), ("she", "her"), ("they", "them"), ("i", "me"), ("a", "an"),
)  # fmt: skip
_ARTICLES = ("a", "the")
_AFTER_NO_ARTICLE = frozenset({"a", "an", "the", "his", "her", "their", "its", "my", "your", "our", "this", "that"})


@dataclass(frozen=True)
class Repair:
    """Words at (from `start` on, `count` of them) replaced by others."""

    start: int
    count: int
    instead: tuple[str, ...]


Forms = Mapping[str, tuple[str, ...]]


def forms_of(counts: Mapping[str, int]) -> Forms:
    """The words of a vocabulary by what they are forms of, the commonest first."""
    irregular = {form: base for base, found in IRREGULAR_FORMS.items() for form in found}
    families: dict[str, list[str]] = defaultdict(list)
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        families[stem(irregular.get(word, word))].append(word)
    return {key: tuple(words[:MOST_FORMS]) for key, words in families.items()}


def repair_gains(
    texts: Sequence[Sequence[str]],
    excess: Sequence[Floats],
    *,
    first: Sequence[int],
    forms: Forms,
    model: LanguageModel,
) -> list[float]:
    """Bits that repairs would save, over what makes one sure, a word of the text; the best repair of each place.

    texts: their words between blanks; excess: what each costs over its frequency, (W,); first: where the answer begins.
    """
    asked = [
        (text, repair)
        for text, (words, costs, start) in enumerate(zip(texts, excess, first, strict=True))
        for repair in _repairs(words, costs, start, forms)
    ]
    snippets: dict[str, int] = {}
    wanted = []
    for text, repair in asked:
        pair = (_snippet(texts[text], repair, repaired=False), _snippet(texts[text], repair, repaired=True))
        wanted.append(tuple(snippets.setdefault(snippet, len(snippets)) for snippet in pair))
    bits = model.text_bits(list(snippets))  # both of a pair begin alike: what stands before the place costs the same
    best: list[dict[int, float]] = [{} for _ in texts]
    for (text, repair), (now, then) in zip(asked, wanted, strict=True):
        gain = float(bits[now] - bits[then]) - SURE
        if gain > best[text].get(repair.start, 0.0):
            best[text][repair.start] = gain
    return [_apart(found) / max(1, len(words)) for found, words in zip(best, texts, strict=True)]


def _apart(gains: Mapping[int, float]) -> float:
    """The sum of the gains, of neighbouring places only the larger: they repair the same fault."""
    total = 0.0
    taken: set[int] = set()
    for at in sorted(gains, key=lambda at: (-gains[at], at)):
        if not taken & {at - 1, at, at + 1}:
            taken.add(at)
            total += gains[at]
    return total


def _snippet(words: Sequence[str], repair: Repair, *, repaired: bool) -> str:
    end = repair.start + repair.count
    middle = repair.instead if repaired else tuple(words[repair.start : end])
    return " ".join([*words[max(0, repair.start - BEFORE) : repair.start], *middle, *words[end : end + AFTER]])


def _repairs(words: Sequence[str], costs: Floats, first: int, forms: Forms) -> Iterator[Repair]:
    for at in range(first, min(len(words), len(costs))):
        if max(costs[at : at + 2]) < SUSPICIOUS:
            continue
        before, core, after = _parts(words[at])
        if not core:
            continue
        for form in _other_forms(core, forms):
            yield Repair(at, 1, (f"{before}{form}{after}",))
        if core[0].islower() and not before and _may_take_article(words, at):
            yield from (Repair(at, 1, (article, words[at])) for article in _ARTICLES)
        if at + 1 < len(words) and not after and words[at + 1][0].islower() and core[0].islower():
            _, other, mark = _parts(words[at + 1])
            yield Repair(at, 2, (f"{before}{other}", f"{core}{mark}"))


def _other_forms(core: str, forms: Forms) -> Iterable[str]:
    lower = core.lower()
    known = [form for each in _SETS if lower in each for form in each]
    known += forms.get(stem(lower), ()) if len(lower) > 2 else ()
    found = [form for form in dict.fromkeys(known) if form != lower]
    return [form.capitalize() for form in found] if core[0].isupper() else found


def _may_take_article(words: Sequence[str], at: int) -> bool:
    return at > 0 and words[at - 1].lower() not in _AFTER_NO_ARTICLE


def _parts(word: str) -> tuple[str, str, str]:
    """A word's opening marks, itself, its closing marks."""
    found = _CORE.match(word)
    return (found[1], found[2], found[3]) if found else ("", "", "")
