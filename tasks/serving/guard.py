"""The guard of the server: the safety policy of `prepare`, read on what is asked and on what is answered.

A streamed answer is held back sentence by sentence, and each is judged together with all that was said before it, so
that neither an unsafe sentence nor one that is unsafe only after the last one leaves.
"""

import re
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Literal

from tasks.cleaning.safety import Finding, Safety, SafetyParams
from tasks.cleaning.words import split_words
from tasks.serving.params import GuardParams

REFUSAL = "I can't talk about that. Shall we talk about something kind instead?"
FINISH_REASON = "content_filter"  # OpenAI's word for an answer that a filter held back
_SENTENCE_ENDS = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*\s+|\n+")

Outcome = Literal["prompt_refused", "reply_refused", "reply_retried"]
OUTCOMES: tuple[Outcome, ...] = ("prompt_refused", "reply_refused", "reply_retried")


class Guard:
    """Judges texts and counts what it did; of any thread."""

    def __init__(self, params: GuardParams, policy: SafetyParams) -> None:
        self._params = params
        self._safety = Safety(policy)
        self._counts: Counter[tuple[Outcome, str]] = Counter()
        self._lock = Lock()

    def check(self, text: str) -> Finding | None:
        """What the policy finds in a text, whatever the parameters say."""
        return self._safety.check(text, split_words(text))

    def prompt(self, text: str) -> Finding | None:
        """Why what was asked is to be refused (with REFUSAL); counted."""
        finding = self.check(text) if self._params.prompts == "refuse" else None
        if finding:
            self._count("prompt_refused", finding)
        return finding

    def reply(self, text: str) -> Finding | None:
        """What is wrong with an answer, whole or so far; what is done then, `after` says. Not counted yet."""
        return self.check(text) if self.reads_replies else None

    def after(self, finding: Finding, *, attempt: int) -> Literal["retry", "refuse"]:
        """What to do with an unsafe answer; counted. attempt: from 0, how many were drawn again before it."""
        if self._params.replies == "retry" and attempt < self._params.retries:
            self._count("reply_retried", finding)
            return "retry"
        self._count("reply_refused", finding)
        return "refuse"

    @property
    def reads_replies(self) -> bool:
        """Whether answers are judged at all."""
        return self._params.replies != "off"

    def hold(self) -> "Held":
        """A new answer's way out, sentence by sentence."""
        return Held(self)

    def figures(self) -> Mapping[tuple[Outcome, str], int]:
        """How often what was done, by outcome and the policy's category."""
        with self._lock:
            return dict(self._counts)

    def _count(self, outcome: Outcome, finding: Finding) -> None:
        with self._lock:
            self._counts[outcome, finding.category] += 1


class Held:
    """One answer on its way out. A sentence leaves when it has ended and nothing up to its end was found.

    After a finding nothing leaves any more. An answer of which something has left cannot be drawn again: refuse it.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._said = ""
        self._left = 0  # characters that have left
        self.finding: Finding | None = None

    @property
    def has_left(self) -> bool:
        """Whether a reader has seen some of it."""
        return self._left > 0

    def add(self, text: str) -> str:
        """Takes more of the answer; returns what may leave now ("" where a sentence is still open)."""
        self._said += text
        if not self._guard.reads_replies:
            return self._let(len(self._said))
        ends = [match.end() for match in _SENTENCE_ENDS.finditer(self._said, self._left)]
        return self._let(ends[-1]) if ends else ""

    def end(self) -> str:
        """The answer is over: returns the rest of it, where nothing was found."""
        return self._let(len(self._said))

    def _let(self, end: int) -> str:
        self.finding = self.finding or self._guard.reply(self._said[:end])
        if self.finding:
            return ""
        text, self._left = self._said[self._left : end], end
        return text
