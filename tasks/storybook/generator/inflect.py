"""English inflection, as small as the storybook needs it: plurals, past tense, a/an, comparatives."""

import re

IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese",
    "foot": "feet", "tooth": "teeth", "sheep": "sheep", "fish": "fish", "deer": "deer",
    "leaf": "leaves", "loaf": "loaves", "wolf": "wolves", "calf": "calves", "elf": "elves",
    "shelf": "shelves", "knife": "knives", "scarf": "scarves", "half": "halves", "wife": "wives",
    "potato": "potatoes", "tomato": "tomatoes", "snowman": "snowmen", "fireman": "firemen",
}  # fmt: skip
IRREGULAR_PAST = {
    "be": "was", "become": "became", "begin": "began", "bend": "bent", "bite": "bit", "blow": "blew",
    "break": "broke", "bring": "brought", "build": "built", "buy": "bought", "catch": "caught",
    "choose": "chose", "come": "came", "cut": "cut", "dig": "dug", "do": "did", "draw": "drew",
    "drink": "drank", "drive": "drove", "eat": "ate", "fall": "fell", "feed": "fed", "feel": "felt",
    "find": "found", "fly": "flew", "forget": "forgot", "freeze": "froze", "get": "got", "give": "gave",
    "go": "went", "grow": "grew", "hang": "hung", "have": "had", "hear": "heard", "hide": "hid",
    "hit": "hit", "hold": "held", "hurt": "hurt", "keep": "kept", "know": "knew", "leave": "left",
    "let": "let", "lose": "lost", "make": "made", "mean": "meant", "meet": "met", "put": "put",
    "read": "read", "ride": "rode", "ring": "rang", "rise": "rose", "run": "ran", "say": "said",
    "see": "saw", "sell": "sold", "send": "sent", "shake": "shook", "shine": "shone", "shut": "shut",
    "sing": "sang", "sink": "sank", "sit": "sat", "sleep": "slept", "slide": "slid", "speak": "spoke",
    "spend": "spent", "stand": "stood", "steal": "stole", "stick": "stuck", "sweep": "swept",
    "swim": "swam", "swing": "swung", "take": "took", "teach": "taught", "tear": "tore", "tell": "told",
    "think": "thought", "throw": "threw", "wake": "woke", "wear": "wore", "win": "won", "write": "wrote",
    "lie": "lay", "lay": "laid", "lead": "led", "creep": "crept", "weep": "wept", "spin": "spun",
    "sting": "stung", "spread": "spread", "fight": "fought", "light": "lit", "kneel": "knelt",
    "understand": "understood", "pay": "paid", "unwrap": "unwrapped", "weave": "wove", "forgive": "forgave",
    "practice": "practiced", "sew": "sewed", "panic": "panicked",
}  # fmt: skip
IRREGULAR_COMPARATIVES = {"good": "better", "bad": "worse", "far": "farther"}

_CONSONANT_SOUND = re.compile(r"(?:uni|use|usu|one\b|once|eu)", re.IGNORECASE)
_VOWEL_SOUND = re.compile(r"(?:hour|honest|[aeiou])", re.IGNORECASE)
_DOUBLING = re.compile(r"^[^aeiou]*[aeiou][bdgmnprt]$")


def plural(noun: str) -> str:
    """The plural of a noun or of a noun phrase that ends in its noun."""
    head, space, last = noun.rpartition(" ")
    if last in IRREGULAR_PLURALS:
        return head + space + IRREGULAR_PLURALS[last]
    if last.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def past(verb: str) -> str:
    """The simple past of a verb in its base form."""
    if verb in IRREGULAR_PAST:
        return IRREGULAR_PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ied"
    if _DOUBLING.match(verb):
        return verb + verb[-1] + "ed"
    return verb + "ed"


def third_person(verb: str) -> str:
    """The present form after he, she or it: goes, cries, plays."""
    if verb.endswith(("s", "x", "ch", "sh", "z", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return "has" if verb == "have" else verb + "s"


def comparative(adjective: str) -> str:
    """The comparative of a short adjective: bigger, happier, nicer, better."""
    if adjective in IRREGULAR_COMPARATIVES:
        return IRREGULAR_COMPARATIVES[adjective]
    if adjective.endswith("e"):
        return adjective + "r"
    if adjective.endswith("y"):
        return adjective[:-1] + "ier"
    if _DOUBLING.match(adjective):
        return adjective + adjective[-1] + "er"
    return adjective + "er"


def article(phrase: str) -> str:
    """`a` or `an`, as the phrase sounds."""
    if _CONSONANT_SOUND.match(phrase):
        return "a"
    return "an" if _VOWEL_SOUND.match(phrase) else "a"


_SPACES = re.compile(r"[ \t]{2,}")
_SPACE_BEFORE_MARK = re.compile(r" +([.,!?;:])")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z]+))")
_SENTENCE_START = re.compile(r"((?:^|[.!?] +|\." + '"' + r" +|\n+)" + '"' + r"?)([a-zåäö])")
_CAPITAL_MARK = re.compile(r"\^ *(\"?)([a-zåäö]?)")


_MARK_AFTER_QUOTE = re.compile(r'([a-z])"([.,])')


def _with_article(match: re.Match[str]) -> str:
    return match.group(1) + article(match.group(2))[1:] + " "


def polish(text: str, *, english: bool = True) -> str:
    """Set right what depends on neighbours: spaces, a/an, capitals at the start of sentences."""
    text = _SPACES.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n").strip()
    text = _SPACE_BEFORE_MARK.sub(r"\1", text)
    text = _CAPITAL_MARK.sub(lambda match: match.group(1) + match.group(2).upper(), text)
    text = _MARK_AFTER_QUOTE.sub(r'\1\2"', text)
    if english:
        text = _ARTICLE.sub(_with_article, text)
    return _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)
