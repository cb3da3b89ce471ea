import random
from collections.abc import Mapping

import pytest

from tasks.evaluation.compression import COMPRESSORS, compressed, joined
from tests.conftest import sentences


def bits_per_byte(train: bytes, test: Mapping[str, bytes]) -> dict[str, dict[str, float]]:
    with compressed(train, test) as collect:
        return collect()


@pytest.mark.parametrize("name", sorted(COMPRESSORS))
def test_what_was_read_before_costs_less(name: str) -> None:
    train, test = joined(sentences(100)), joined(sentences(10, start=300))
    found = bits_per_byte(train, {"test": test})
    assert found[name]["test"] < 0.8 * found[f"{name}_unprimed"]["test"]


@pytest.mark.parametrize("name", ["xz", "zstd"])
def test_the_window_reaches_over_all_of_the_training_text(name: str) -> None:
    rng = random.Random(0)  # noqa: S311 - no secret
    copied = rng.randbytes(2_000).replace(b"\0", b"x")
    train = copied + b"over and over " * 650_000  # 9 MB: more than the default window of either
    found = bits_per_byte(train, {"test": copied})
    assert found[name]["test"] < 3  # 8 would be no memory of it; random bytes match in pieces
    assert found[f"{name}_unprimed"]["test"] > 7.9


def test_separators_cost_and_are_no_bytes_of_text() -> None:
    two = joined(["ab", "cd"])
    assert two == b"ab\0cd\0"
    found = bits_per_byte(b"", {"test": two})
    assert found["gzip_unprimed"]["test"] == pytest.approx(8 * COMPRESSORS["gzip"](two) / 4)


def test_every_split_is_measured_alone() -> None:
    train, test = joined(sentences(20)), joined(sentences(5, start=90))
    alone = bits_per_byte(train, {"test": test})
    both = bits_per_byte(train, {"written": joined(sentences(3, start=70)), "test": test})
    assert {name: row["test"] for name, row in both.items()} == {name: row["test"] for name, row in alone.items()}
    assert set(both) == {*COMPRESSORS, *(f"{name}_unprimed" for name in COMPRESSORS)}
