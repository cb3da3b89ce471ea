"""What a dvc.lock names, hashed anew: outs in DVC's cache and in the workspace, code in the commit."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tasks import workspace
from tasks.dvc_hashes import dvc_md5, folder_md5
from tasks.provenance.held import FOLDER, Held
from tasks.provenance.locked import FoundLock
from tasks.provenance.way import Check, Code
from tasks.reviews.batch_file import FEEDBACK

READ = "code and other sources"

State = Literal["ok", "missing", "differs"]


def check_outs(found: FoundLock, held: Held) -> Iterator[Check]:
    """Every out. What the workspace holds of another chain counts neither for nor against one of an older lock."""
    for path, md5 in found.lock.outs.items():
        states = {
            "DVC's cache": _in_cache(held, md5),
            "the workspace": _in_workspace(Path(path), md5, is_present=found.is_present),
        }
        worst = _worst(set(states.values()))
        where = " and ".join(place for place, state in states.items() if state == worst)
        detail = {
            "ok": f"{md5[:8]} in {where}",
            "missing": f"{md5[:8]}: in neither {' nor '.join(states)}",
            "differs": f"other bytes than {md5[:8]} in {where}",
        }[worst]
        yield Check(what=path, state=worst, detail=detail)


def _worst(states: set[State]) -> State:
    """One place that holds the bytes is enough, but none may hold others."""
    if "differs" in states:
        return "differs"
    return "ok" if "ok" in states else "missing"


def _in_cache(held: Held, md5: str) -> State:
    if not md5.endswith(FOLDER):
        return _file_in_cache(held, md5)
    listing = held.cached(md5)
    if listing is None:
        return "missing"
    if dvc_md5(listing) != md5.removesuffix(FOLDER):
        return "differs"
    states = {_file_in_cache(held, one) for one in (held.listing(md5) or {}).values()}
    if "differs" in states:
        return "differs"
    return "missing" if "missing" in states else "ok"


def _file_in_cache(held: Held, md5: str) -> State:
    path = held.cached(md5)
    if path is None:
        return "missing"
    return "ok" if dvc_md5(path) == md5 else "differs"


def _in_workspace(path: Path, md5: str, *, is_present: bool) -> State:
    if not path.exists():
        return "missing"
    if dvc_md5(path) == md5:
        return "ok"
    return "differs" if is_present else "missing"


def check_sources(found: FoundLock, code: Code) -> Iterator[Check]:
    """Code and the user's files as the commit of the version holds them; those that differ one by one."""
    commit = code.experiment_commit or (None if code.dirty else code.commit)
    wanted = {path: md5 for path, md5 in found.lock.sources.items() if path != str(FEEDBACK)}  # batches: on their own
    held = {path: _hash(data) for path, data in workspace.files_at(commit)} if commit else {}
    if not held:
        yield Check(what=READ, state="missing", detail="the commit that holds it is not here")
        return
    differing = [path for path, md5 in wanted.items() if _hash_at(held, path, md5) not in (md5, None)]
    missing = [path for path, md5 in wanted.items() if _hash_at(held, path, md5) is None]
    for path in differing:
        yield Check(
            what=path, state="differs", detail=f"commit {str(commit)[:8]} holds other bytes than dvc.lock names"
        )
    for path in missing:
        yield Check(what=path, state="missing", detail=f"commit {str(commit)[:8]} does not hold it")
    same = len(wanted) - len(differing) - len(missing)
    yield Check(what=READ, state="ok", detail=f"{same} files and folders, as commit {str(commit)[:8]} holds them")


def _hash(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _hash_at(held: dict[str, str], path: str, md5: str) -> str | None:
    """The hash of a file or folder of a commit; None where it holds none."""
    if not md5.endswith(FOLDER):
        return held.get(path)
    inside = {name.removeprefix(f"{path}/"): one for name, one in held.items() if name.startswith(f"{path}/")}
    return folder_md5(inside) if inside else None
