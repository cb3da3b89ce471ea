"""`fledgling status`: how each part of the platform is, as its start page says it."""

import asyncio
import os

import typer

from apps.start import parts
from fledgling import logins
from fledgling.platform import addresses
from tasks.stage import UserError

_WIDTH = max(map(len, parts.NAMES))


def tell_status(of: str | None) -> int:
    """Prints a line for each part; 1 where one does not answer, or the one that was asked for is not ready.

    Raises UserError for a name that is none.
    """
    if of is not None and of not in parts.NAMES:
        raise UserError(f"--of {of}: there is no such part; allowed: {', '.join(parts.NAMES)}")
    found = asyncio.run(parts.conditions(_environment()))
    shown = [condition for condition in found if of in (None, condition.name)]
    for condition in shown:
        typer.echo(f"{condition.name:{_WIDTH}}  {condition.state:7}  {condition.line}")
    wrong = ("away",) if of is None else ("away", "waiting")
    return int(any(condition.state in wrong for condition in shown))


def _environment() -> dict[str, str]:
    """The environment, and what is known here of a platform that runs in this folder: its addresses, its login."""
    environment = dict(os.environ)
    running = addresses.running() or {}
    for part in parts.PARTS:
        address = running.get(part.name)
        if address:
            environment[part.inside] = f"{address}/api" if part.name == "prefect" else address
    if running and not logins.is_open():
        environment.update({name: value for name, value in logins.kept().items() if name not in os.environ})
    return environment
