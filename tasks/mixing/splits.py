"""Which split a row belongs to: by what must not straddle, never by its place in a file."""

from tasks.mixing.declarations import SharesParams
from tasks.mixing.templates import number


def split_of(group: str, params: SharesParams) -> str:
    """The split of a group's normal form; the same in every source, so two tasks on one text agree."""
    point = number(f"split {params.seed} {group}") / 2**64
    if point < params.test:
        return "test"
    return "validation" if point < params.test + params.validation else "train"
