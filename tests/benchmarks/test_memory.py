"""The memory of `ingest` and `prepare` on 5 and on 50 MB of generated stories."""

import pytest

from benchmarks import memory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_memory_does_not_grow_with_the_text() -> None:
    row = memory.prepare_rss_of_50_mb_vs_5_mb()
    print(row)
    assert row.reached, row
