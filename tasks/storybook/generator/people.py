"""Who a story is about: names, kinds, pronouns, in English and in Swedish."""

from dataclasses import dataclass, field
from typing import Literal

PRONOUNS = {
    "he": ("he", "him", "his", "his", "himself"),
    "she": ("she", "her", "her", "hers", "herself"),
    "it": ("it", "it", "its", "its", "itself"),
    "they": ("they", "them", "their", "theirs", "themselves"),
}
_FORMS = ("he", "him", "his", "theirs", "himself")
_SWEDISH = {
    "he": ("han", "honom", "hans"),
    "she": ("hon", "henne", "hennes"),
    "it": ("den", "den", "dess"),
    "they": ("de", "dem", "deras"),
}
_SWEDISH_FORMS = ("svhe", "svhim", "svhis")

Gender = Literal["he", "she", "it", "they"]


@dataclass(frozen=True, slots=True)
class Person:
    """A character. `name` is how the text calls it ("Mia", "his mother", "the baker")."""

    name: str
    gender: Gender
    kind: str  # girl, fox, boat
    world: Literal["child", "animal", "thing", "grown"]
    calls: tuple[str, ...] = field(default=())  # other ways to call it: the little fox

    def form(self, form: str) -> str:
        """A form in the language of templates: he, him, his, himself, He ..., kind, svhe ..."""
        lower = form[:1].lower() + form[1:]
        if lower in _FORMS:
            word = PRONOUNS[self.gender][_FORMS.index(lower)]
            return word if form == lower else word.capitalize()
        if lower in _SWEDISH_FORMS:
            return _SWEDISH[self.gender][_SWEDISH_FORMS.index(lower)]
        if form == "kind":
            return self.kind
        if form == "Name":
            return self.name[:1].upper() + self.name[1:]
        return self.name


def is_pronoun_form(word: str) -> bool:
    """Whether {word} alone means the hero's pronoun."""
    return word[:1].lower() + word[1:] in (*_FORMS, *_SWEDISH_FORMS)
