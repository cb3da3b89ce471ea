"""A stop text ends a reply, in whatever pieces it comes, and no part of it leaves."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.serving.answering import Trimmed
from tasks.serving.stopping import Stops

PIECES = st.lists(st.text("ab<| \n", max_size=5), max_size=12)


@given(pieces=PIECES, stops=st.lists(st.text("ab<|", min_size=1, max_size=4), max_size=4))
def test_what_leaves_is_what_stands_before_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    found, left = Stops(stops), ""
    for piece in pieces:
        left += found.add(piece)
        if found.found:
            break
    whole = "".join(pieces)
    ends = [at for stop in stops if (at := whole.find(stop)) >= 0]
    assert found.found == bool(ends)
    if not ends:
        assert left + found.end() == whole
        return
    assert whole.startswith(left)
    assert not any(stop in left for stop in stops)
    first = min(at + len(stop) for stop in stops if (at := whole.find(stop)) >= 0)
    assert len(left) < first  # ended no later than with the stop text that was whole first
    assert found.add("more") == ""


def test_a_beginning_that_was_none_leaves_in_the_end() -> None:
    stops = Stops(["<|end|>", "END"])
    assert [stops.add(piece) for piece in ("a <", "|en", "d E", "N")] == ["a ", "", "<|end ", ""]
    assert stops.end() == "EN"


@given(pieces=PIECES)
def test_trimming_is_strip(pieces: list[str]) -> None:
    trimmed = Trimmed()
    assert "".join(map(trimmed.add, pieces)) == "".join(pieces).strip()
