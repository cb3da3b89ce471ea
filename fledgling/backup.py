"""`fledgling backup` and `fledgling restore`."""

from pathlib import Path

from fledgling.platform.addresses import running
from tasks.keeping.backup import back_up, stamped
from tasks.keeping.restore import restore
from tasks.stage import UserError


def back_up_into(folder: Path, *, inside: bool, keep: int | None) -> str:
    """Makes a backup; what to tell. inside: in a folder of the moment's name; keep: of those the newest so many."""
    if keep is not None and not inside:
        raise UserError("--keep is for backups made with --inside")
    return (stamped(folder, keep=keep) if inside else back_up(folder)).line


def restore_from(folder: Path) -> str:
    """Puts a backup back; what to tell. Raises UserError where the platform of this folder runs."""
    if found := running():
        raise UserError(f"the platform runs (process {found['pid']}); stop it first")
    return restore(folder).line
