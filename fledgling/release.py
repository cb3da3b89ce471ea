"""`fledgling promote` and `fledgling rollback`: who did it, in a line, and what is to be done next."""

import getpass

from tasks.gating.champion import FOLDER
from tasks.registry import release
from tasks.registry.release import Released


def promote(version: str | None, *, despite: str) -> str:
    """Makes a version the champion in the name of who is logged in; what to tell. Raises UserError as it does."""
    return _told(release.promote(version, by=_who(), despite=despite))


def rollback(*, reason: str) -> str:
    """Makes the champion before it the champion again; what to tell. Raises UserError as it does."""
    return _told(release.rollback(by=_who(), reason=reason))


def _told(released: Released) -> str:
    commit = f"git add {FOLDER} && git commit -m '{released.name} version {released.version}'"
    return f"{released.line}\nnow: {commit}: the gate compares the next model with it"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "command line"
