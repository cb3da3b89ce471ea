"""`fledgling chat`: a conversation in the terminal, with a server or with a model of this machine."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fledgling.chat.talk import Manner, Speaker


def chat(server: str | None, model: str | None, manner: "Manner", *, system: str) -> None:
    """Talks until the person leaves: with a server's model, or without a server with one of this machine.

    model: None for the server's first, or the workspace's newest. Raises UserError where there is no such model, or
    the server can't be reached.
    """
    from fledgling.chat.talk import Talk, talk, tell

    with _speaker(server, model, manner) as speaker:
        is_asked = sys.stdin.isatty()
        if is_asked:
            import readline  # noqa: F401  # input() then edits the line, and knows those before it

            tell(f"{speaker.name}; /help says what there is")
        talk(Talk(speaker=speaker, system=system), is_asked=is_asked)


def _speaker(server: str | None, model: str | None, manner: "Manner") -> "AbstractContextManager[Speaker]":
    if server is None:
        from fledgling.chat.local import local

        return local(model, manner)
    from fledgling.chat.remote import remote

    return remote(server, model, manner)
