"""One run at a time in a folder: of the flows `pipeline` and `improve`, and so of `fledgling run`."""

import contextlib
import os
from collections.abc import Callable, Iterator

from fasteners import InterProcessLock  # type: ignore[import-untyped,unused-ignore]

from tasks.stage import STATE, write_text

LOCK = STATE / "chain.lock"
HOLDER = STATE / "chain.holder"  # a file of its own: to close LOCK anywhere in the process would give the lock back


@contextlib.contextmanager
def one_run(who: str, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other run works in this folder, and tells once whom it waits for.

    The kernel gives the lock back where its holder is killed. A `dvc repro` by hand has DVC's own lock.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = InterProcessLock(LOCK)
    if not lock.acquire(blocking=False):
        tell(f"waiting for {_holder()}: one run at a time in this folder")
        lock.acquire(delay=0.1, max_delay=1.0)
    try:
        write_text(HOLDER, f"{who} (process {os.getpid()})\n")
        yield
    finally:
        lock.release()


def _holder() -> str:
    return HOLDER.read_text(encoding="utf-8").strip() if HOLDER.exists() else "another run"
