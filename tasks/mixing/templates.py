"""Templates: a text with {columns} to fill, nothing more of Python's format language."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import Formatter


@lru_cache(maxsize=1024)
def columns_of(template: str) -> tuple[str, ...]:
    """The columns that a template names, in order, each once.

    Raises ValueError for braces that don't close, and for anything but a plain name between them.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}; write {{{{ and }}}} for braces") from None
    names: list[str] = []
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or specification or conversion:
            raise ValueError(f"template {template!r}: between braces stands a column's name and nothing else")
        if name not in names:
            names.append(name)
    return tuple(names)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its columns' values; what an empty column leaves at the ends is stripped."""
    return Formatter().vformat(template, (), values).strip()


def choose(templates: Sequence[str], values: Mapping[str, str], *, key: str) -> str | None:
    """One of the templates whose columns all hold something, by the hash of `key`; None where none has.

    A template whose columns are partly empty is taken only where no full one is left.
    """
    full = [t for t in templates if all(values[name] for name in columns_of(t))]
    usable = full or [t for t in templates if any(values[name] for name in columns_of(t))]
    return usable[number(key) % len(usable)] if usable else None


def number(key: str) -> int:
    """64 bits of a text, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
