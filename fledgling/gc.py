"""`fledgling gc`: what may be thrown away, as a table; removed only where that is asked for."""

from pathlib import Path

import typer

from flows.lock import one_run
from tasks.keeping.rubbish import KINDS, Found, find


def collect_garbage(*, remove: bool, days: float, clones: tuple[Path, ...]) -> str:
    """The table, after what is in it was removed where `remove` says so. No chain runs in this folder meanwhile."""
    with one_run("fledgling gc", tell=typer.echo):
        found = find(days=days, clones=clones)
        for rubbish in found.rubbish if remove else ():
            rubbish.remove()
    return _told(found, removed=remove)


def _told(found: Found, *, removed: bool) -> str:
    lines = [f"{'what':36}{'items':>8}{'bytes':>16}"]
    for kind in KINDS:
        sizes = [rubbish.size_bytes for rubbish in found.rubbish if rubbish.kind == kind]
        lines.append(f"{kind:36}{len(sizes):>8,}{sum(sizes):>16,}")
    total = sum(rubbish.size_bytes for rubbish in found.rubbish)
    lines.append(f"{'together':36}{len(found.rubbish):>8,}{total:>16,}")
    lines += found.remarks
    lines.append("removed" if removed else "nothing was removed: --remove does it")
    return "\n".join(lines)
