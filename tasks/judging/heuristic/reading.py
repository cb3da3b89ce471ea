"""A text as the measures read it: its words, its sentences, where the answer begins."""

import re
from dataclasses import dataclass
from functools import cached_property

from tasks.cleaning.words import split_words
from tasks.evaluation.language import sentences
from tasks.judging.records import Item

MOST_CHARACTERS = 20_000  # that are read of an answer; one of 100 kB is judged by its beginning

_REQUEST = re.compile(
    r"^\W*(?:please|can|could|would|will|write|tell|make|create|invent|compose|give|continue|finish|use|i|we|in|story|"
    r"a story|the following|features|words|summary|random|task|instruction)\b|:\s*$|"
    r"\bstory (?:about|with|in which|for)\b",
    re.IGNORECASE,
)
_OVER = (".", "!", "?", "…", '"', "'", "”", "’", ")")  # a sentence, with the quote or bracket it stands in
_ENDS = (*_OVER, ":", ";")


@dataclass(frozen=True)
class Reading:
    """whole: what is read as one text, the opening that the answer goes on with included. begins: the place of the
    answer's first character in it."""

    whole: str
    begins: int

    @property
    def answer(self) -> str:
        return self.whole[self.begins :].strip()

    @property
    def breaks_off(self) -> bool:
        """Whether it stops before a sentence is over; "The end" needs no mark."""
        return self.words[-2:] != ["the", "end"] and not self.answer.endswith(_OVER)

    @cached_property
    def words(self) -> list[str]:
        """The lower-case words of the answer."""
        return split_words(self.answer)

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences of the whole text."""
        return sentences(self.whole)

    @cached_property
    def own_sentences(self) -> list[str]:
        """The sentences that were not over before the answer begins."""
        before = sentences(self.whole[: self.begins])
        return self.sentences[sum(one == other for one, other in zip(before, self.sentences, strict=False)) :]

    @cached_property
    def first_word(self) -> int:
        """How many words between blanks stand before the answer's first; not one that it goes on with."""
        before = self.whole[: self.begins]
        after = self.whole[self.begins : self.begins + 1]
        joined = bool(before) and not before[-1].isspace() and not after.isspace()
        return len(before.split()) - joined


def read(item: Item) -> Reading:
    """An opening is read together with what goes on from it, a request is not."""
    answer = item.answer.replace("\0", " ")[:MOST_CHARACTERS]
    if item.kind != "story" or not item.prompt.strip() or is_request(item.prompt):
        return Reading(answer.strip(), 0)
    opening = item.prompt.replace("\0", " ").lstrip()[-MOST_CHARACTERS:]
    together = opening[-1].isspace() or answer[:1].isspace() or not answer[:1].isalnum()
    joint = "" if together and not _needs_blank(opening, answer) else " "
    return Reading(f"{opening}{joint}{answer}".rstrip(), len(opening) + len(joint))


def is_request(prompt: str) -> bool:
    """Whether a prompt asks for a story; else it is the opening of one."""
    return bool(_REQUEST.search(prompt.strip()))


def _needs_blank(opening: str, answer: str) -> bool:
    """After a sentence that is over a quotation mark opens, where no blank stands on either side."""
    return opening[-1] in _ENDS and answer[:1] in "\"'“(" and len(answer) > 1 and answer[1].isalnum()
