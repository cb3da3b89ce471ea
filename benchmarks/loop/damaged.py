"""A deliberately damaged candidate: aligned on the same pairs turned round, in a copy of the workspace."""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.loop.workspace import Workspace

SIDES = (("chosen", "rejected"), ("chosen_cut", "rejected_cut"))
AFTER = ("align", "evaluate", "judge", "gate")


def damaged(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """What the gate says of it: the decision and the reasons."""
    shutil.rmtree(folder, ignore_errors=True)
    other = workspace.copy(folder)
    for path in sorted((other.folder / "data/pairs").glob("*.jsonl")):
        if path.stem != "thumbs":
            _turn_round(path)
    for name in AFTER:
        other.stage(name)
    gate = other.metrics("gate")
    return {"decision": gate["decision"], "reasons": gate["reasons"], "gate": gate}


def _turn_round(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        for first, second in SIDES:
            row[first], row[second] = row[second], row[first]
    path.unlink()  # a link into DVC's cache must not be written through
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
