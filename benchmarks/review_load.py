"""How long a submit takes while fifty reviewers work."""

import asyncio
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.row import Row

ROUNDS = 3
REVIEWERS = 50
EVERY_S = 2.0
SECONDS = 40.0
MOST_MS = 100.0
AS_PUBLISHED = {"gold_share": 0.1, "again_share": 0.05, "double_share": 0.2}


def review_submit_p95_sqlite() -> Row:
    """Milliseconds that 95 % of the submits stay under on SQLite: see `_row`."""
    return _row("sqlite", lambda folder: f"sqlite:///{folder}/review.db")


def review_submit_p95_postgresql() -> Row:
    """The same on a PostgreSQL server of its own."""
    from tests.tasks.reviews.postgresql import Server

    server = Server()
    try:
        return _row("postgresql", lambda folder: server.new_database())
    finally:
        server.remove()


def _row(name: str, address: Callable[[Path], str]) -> Row:
    """Median of three rounds' p95: fifty readers at a real server, each submitting every 2 s for 40 s.

    From the sending to the whole reply with the next card, the row being on the disk by then. The readers run on the
    same machine.
    """
    times = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            times.append(_p95_ms(Path(folder), address(Path(folder))))
    return Row(
        name=f"review_submit_p95_{name}",
        unit="ms",
        value=round(statistics.median(times), 1),
        peer="a tenth of a second",
        peer_value=MOST_MS,
        bar=1.0,
        lower_is_better=True,
    )


def _p95_ms(folder: Path, address: str) -> float:
    from tasks.reviews.database import open_database
    from tests.apps.review.crowd import at_a_pace, percentile, summary
    from tests.apps.review.filled import prepared
    from tests.apps.review.servers import over
    from tests.apps.review.stock import assert_kept, readers, stock

    served = over(prepared(folder, **AS_PUBLISHED), address)  # type: ignore[arg-type]
    with open_database(address) as database:
        stock(database, round(REVIEWERS * SECONDS / EVERY_S), gold=50, double_each=5)
        people = readers(database, served, REVIEWERS)
        with served.running():
            asyncio.run(at_a_pace(people, every_s=EVERY_S, seconds=SECONDS))
        assert_kept(database, people)
    taken = [seconds for reader in people for seconds in reader.seconds]
    print(summary(taken))
    return percentile(taken, 0.95)


if __name__ == "__main__":
    print(review_submit_p95_sqlite(), review_submit_p95_postgresql(), sep="\n")
