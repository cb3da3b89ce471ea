"""Text out of tokens one by one: never half a character, and in the end what the tokenizer makes of them all."""

import codecs
import json
from collections.abc import Sequence
from functools import cache

from tokenizers import Tokenizer

from tasks.stage import UserError

_CONTINUES_WORD = "##"  # before a piece of WordPiece's
_REPLACE = {"type": "Replace", "pattern": {"Regex": "^##"}, "content": ""}
_JOINING = ("ByteLevel", "Fuse")


class Spelling:
    """The bytes of each token of a tokenizer; special tokens have none.

    Raises UserError for a tokenizer whose tokens are spelled by what stands beside them.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        kinds = _decoders(tokenizer)
        special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.bytes = {
            number: _spelled(token, kinds) for token, number in tokenizer.get_vocab().items() if number not in special
        }

    def whole(self, tokens: Sequence[int]) -> str:
        """The text of all tokens."""
        return b"".join(self.bytes.get(token, b"") for token in tokens).decode("utf-8", "replace")

    def begin(self) -> "Text":
        """A text that comes token by token."""
        return Text(self)


class Text:
    """What has come of a text. A character that is not whole yet waits for its other bytes."""

    def __init__(self, spelling: Spelling) -> None:
        self._bytes = spelling.bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """What can be read now that could not before."""
        return self._decoder.decode(self._bytes.get(token, b""))

    def end(self) -> str:
        """The replacement character for bytes that no others came after."""
        return self._decoder.decode(b"", final=True)


def _decoders(tokenizer: Tokenizer) -> frozenset[str]:
    """The kinds of a tokenizer's decoders, which all read a token by itself."""
    decoder = json.loads(tokenizer.to_str())["decoder"] or {"type": "none"}
    parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    for part in parts:
        if part["type"] not in _JOINING and part != _REPLACE:
            raise UserError(
                f"tokenizer.json: its decoder is {part['type']}, which the server can't read; allowed: "
                f"{', '.join(_JOINING)}, as the kinds of tokenizer that this project trains have"
            )
    return frozenset(part["type"] for part in parts)


def _spelled(token: str, kinds: frozenset[str]) -> bytes:
    if "Replace" in kinds:
        token = token.removeprefix(_CONTINUES_WORD)
    if "ByteLevel" not in kinds:
        return token.encode()
    table = _byte_of_character()
    return bytes(table[c] for c in token) if all(c in table for c in token) else token.encode()


@cache
def _byte_of_character() -> dict[str, int]:
    """The bytes as GPT-2's tokenizer writes them: each as a character that can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in seen}
    hidden = (byte for byte in range(256) if byte not in seen)
    return table | {chr(256 + at): byte for at, byte in enumerate(hidden)}
