"""Long documents cut at a sentence's end, so that prompt and answer fit the context."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.chat import encode_chats
from tasks.mixing.declarations import RowsSource
from tasks.mixing.templates import columns_of, fill

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SENTENCE_END = re.compile(r"[.!?][\"'\u201d\u2019)]*(?=\s)")
_ROOM = 8  # tokens: what joins of template and text may cost beyond their parts


def shorten(
    rows: Sequence[dict[str, str]], *, source: RowsSource, tokenizer: "Tokenizer", context_tokens: int
) -> list[dict[str, str]]:
    """The rows, the column `source.shorten` cut to what fits beside the rest. Rows that fit stay as they are.

    A cut leaves whole sentences where the first one fits, and the row as it was where nothing would be left.
    """
    if source.shorten is None:
        return list(rows)
    column = source.shorten
    free = _free_tokens(rows, source=source, tokenizer=tokenizer, context_tokens=context_tokens)
    encoded = tokenizer.encode_batch([row[column] for row in rows], add_special_tokens=False)
    return [
        row if len(document.ids) <= room else {**row, column: _cut(row[column], document.offsets, room)}
        for row, document, room in zip(rows, encoded, free, strict=True)
    ]


def _free_tokens(
    rows: Sequence[dict[str, str]], *, source: RowsSource, tokenizer: "Tokenizer", context_tokens: int
) -> list[int]:
    """What a document may take in each row, whichever template is chosen."""
    assert source.shorten is not None
    longest = max(source.templates, key=len)
    chats = []
    for row in rows:
        rest = {name: row[name] for name in columns_of(longest)} | {source.shorten: ""}
        answer = fill(source.answer, row) if source.answer is not None else ""
        chats.append([{"role": "user", "content": fill(longest, rest)}, {"role": "assistant", "content": answer}])
    return [context_tokens - 1 - _ROOM - len(chat.ids) for chat in encode_chats(tokenizer, chats)]


def _cut(text: str, offsets: Sequence[tuple[int, int]], room: int) -> str:
    if room < 1:
        return text
    part = text[: offsets[room - 1][1]]
    ends = [match.end() for match in _SENTENCE_END.finditer(part)]
    return part[: ends[-1]] if ends else text
