"""A conversation in the terminal, whoever answers."""

import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from tasks.stage import UserError

PROMPT = "› "
HELP = """\
/system TEXT  what the model is told first; without TEXT nothing
/retry        another answer to the last message
/new          a new conversation
/help         this
/quit         leave (or Ctrl+D); Ctrl+C stops an answer"""
TURNED = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # turn the direction of what follows


class Refused(Exception):
    """A message that was not answered; its text says why. The conversation goes on."""


class Speaker(Protocol):
    """Who answers. reply: the answer piece by piece; closing it stops it. Raises Refused."""

    name: str

    def reply(self, messages: list[dict[str, str]], *, again: int) -> Generator[str]: ...


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How answers are drawn. seed None: each answer another; max_tokens None: who answers decides."""

    temperature: float
    max_tokens: int | None
    seed: int | None

    def seed_of(self, again: int) -> int | None:
        """Of an answer that is tried again: the next one."""
        return None if self.seed is None else self.seed + again


@dataclass
class Talk:
    """A conversation. again: how often the last message was tried again."""

    speaker: Speaker
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)
    again: int = 0

    def take(self, line: str) -> bool:
        """One line of the person's, a message or a command; False where they leave."""
        word, _, rest = line.partition(" ")
        if not line.startswith("/"):
            self.again = 0
            self._ask(line)
        elif word == "/quit":
            return False
        elif word == "/retry":
            self._retry()
        elif word in ("/system", "/new", "/help"):
            tell(self._done(word, rest.strip()))
        else:
            tell(f"{word} is unknown; allowed: /system, /retry, /new, /help, /quit")
        return True

    def _done(self, word: str, rest: str) -> str:
        if word == "/help":
            return HELP
        if word == "/new":
            self.turns.clear()
            return "a new conversation"
        self.system = rest
        return "the system prompt is " + ("set" if rest else "empty")

    def _retry(self) -> None:
        asked = [at for at, turn in enumerate(self.turns) if turn["role"] == "user"]
        if not asked:
            tell("there is nothing to try again")
            return
        question = self.turns[asked[-1]]["content"]
        del self.turns[asked[-1] :]
        self.again += 1
        self._ask(question)

    def _ask(self, question: str) -> None:
        """Prints the answer as it is made; what was stopped stays in the conversation as far as it got."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        self.turns.append({"role": "user", "content": question})
        answer = ""
        try:
            with closing(self.speaker.reply([*system, *self.turns], again=self.again)) as pieces:
                for piece in pieces:
                    answer += piece
                    print(printable(piece), end="", flush=True)
        except KeyboardInterrupt:
            tell(" (stopped)")
        except Refused as error:
            tell(str(error))
        print(flush=True)
        if answer.strip():
            self.turns.append({"role": "assistant", "content": answer.strip()})


def tell(line: str) -> None:
    """What a person is told beside the answers: on standard error, so that standard output holds answers alone."""
    print(printable(line), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text without what steers a terminal: control characters, and marks that turn the direction of writing."""
    return "".join(c for c in text if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160 or c in TURNED))


def talk(held: Talk, *, is_asked: bool) -> None:
    """Takes lines until the person leaves. Raises UserError for input that is no text."""
    while True:
        try:
            line = input(PROMPT if is_asked else "").strip()
        except EOFError:
            return
        except UnicodeDecodeError:
            raise UserError("standard input is no UTF-8 text") from None
        if line and not held.take(line):
            return
