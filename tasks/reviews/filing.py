"""Writes claimed batches as files and gives them to DVC; what is there already stays as it is."""

import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.reviews.batch_file import Feedback, Manifest, manifest_of, text_of
from tasks.reviews.database import Database
from tasks.reviews.rows import rows_of
from tasks.reviews.tables import Export
from tasks.stage import STATE, UserError, write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """A batch file. untracked: why DVC does not hold it, empty where it does."""

    file: Path
    manifest: Manifest
    untracked: str

    @property
    def line(self) -> str:
        """What was written, in one line."""
        told = f"{self.file}: {self.manifest.rows} decisions of {len(self.manifest.reviewers)} reviewers"
        out = sum(one.rows for one in self.manifest.left_out)
        told += f", {out} left out for quality" if out else ""
        return f"{told}; not in DVC: {self.untracked}" if self.untracked else told


def written(
    database: Database, folder: Path, *, now: datetime, batch: str | None, claimed: Sequence[int]
) -> list[Collected]:
    """Writes the files that are claimed and not yet written, by whomever, and gives DVC what it does not hold."""
    from fasteners import InterProcessLock  # type: ignore[import-untyped,unused-ignore]

    lock = STATE / "review" / "collecting.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with InterProcessLock(lock):
        with database.reading() as session:
            exports = _exports(session)
            waiting = [one for one in exports if _is_waiting(one, folder, batch)]
            for export in waiting:
                _write(folder, export, rows_of(session, export.id))
        untracked = _track([folder / one.file for one in exports if (folder / one.file).exists()])
        ids = {export.id for export in waiting}
        with database.session() as session:
            for export in _exports(session):
                export.written_at = export.written_at or (now if export.id in ids else None)
            told = [one for one in _exports(session) if one.id in ids.union(claimed)]
    return [
        Collected(file=folder / one.file, manifest=_manifest(one), untracked=untracked)
        for one in told
    ]  # fmt: skip


def _exports(session: Session) -> Sequence[Export]:
    return session.scalars(select(Export).order_by(Export.id)).all()


def _is_waiting(export: Export, folder: Path, batch: str | None) -> bool:
    is_lost = export.batch_id == batch and not (folder / export.file).exists()
    return export.written_at is None or is_lost


def _manifest(export: Export) -> Manifest:
    return Manifest.model_validate_json(json.dumps(export.manifest))


def _write(folder: Path, export: Export, rows: Sequence[Feedback]) -> None:
    manifest, text = _manifest(export), text_of(rows)
    if hashlib.sha256(text.encode()).hexdigest() != manifest.sha256:
        raise UserError(f"{export.file}: the database no longer holds what was collected; it was changed by hand")
    for path, content in ((folder / export.file, text), (manifest_of(folder / export.file), manifest.text)):
        if not path.exists():
            write_text(path, content)
        elif path.read_bytes() != content.encode():
            raise UserError(f"{path}: holds something else than batch {export.batch_id}; batch files are never changed")


def _track(files: Sequence[Path]) -> str:
    """Gives DVC the files that it does not hold; why that failed, empty where it did not."""
    new = [str(file) for file in files if not file.with_name(f"{file.name}.dvc").exists()]
    if not new:
        return ""
    why = _add(new)
    if why:
        log.warning("dvc add %s: %s; the next collection tries again", " ".join(new), why)
    return why


def _add(files: Sequence[str]) -> str:
    here = Path.cwd()
    if not any((folder / ".dvc").is_dir() for folder in (here, *here.parents)):
        return "this folder is not under DVC, `dvc init` puts it there"
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "add", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]
    why = (lines or done.stderr.splitlines() or ["dvc failed"])[0].removeprefix("ERROR: ")
    return why if done.returncode else ""
