"""`fledgling doctor`: is this machine and this folder fit to run the chain, and what to do where not."""

import sys
from collections.abc import Callable, Iterator, Sequence

from fledgling.doctor import folder, installed, machine
from fledgling.doctor.finding import Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}

EXAMINATIONS: Sequence[Callable[[], Iterator[Finding]]] = (
    *(installed.python, installed.packages),
    *(machine.compiler, machine.device, machine.engine, machine.disk, machine.memory, folder.state, machine.ports),
    *(folder.git, folder.dvc, folder.parameters, installed.environment),
)


def examine() -> int:
    """Prints the table of findings; returns the exit code: 1 where there is a problem, else 0."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    findings = tuple(look())
    table = Table("what", "state", "seen", "what to do", box=None, pad_edge=False)
    for found in findings:
        state = f"[{_STYLES[found.state]}]{found.state}[/]"
        table.add_row(found.what, state, escape(found.seen), escape(found.advice))
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table)
    counts = {state: sum(found.state == state for found in findings) for state in ("problem", "warning")}
    console.print(f"\n{counts['problem']} problems, {counts['warning']} warnings")
    return 1 if counts["problem"] else 0


def look() -> Iterator[Finding]:
    """Everything that is looked at, in the order in which it is mended best."""
    for examination in EXAMINATIONS:
        yield from examination()
