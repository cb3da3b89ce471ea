"""The profiles' loss curves beside each other: comparison/curves.csv, which `dvc plots show` draws in one picture.

The file is tracked by git and written by `fledgling keep-curve` alone, as accepted/ is by `fledgling accept-data`:
nothing that a run writes by itself makes the tree dirty, or a stage stale.
"""

import csv
import io
from pathlib import Path

from tasks import stage
from tasks.registry.evidence import Lock
from tasks.stage import PARAMS_FILE, UserError, read_yaml

CURVE = Path("plots/pretrain.csv")  # of the present run
KEPT = Path("comparison/curves.csv")  # a curve a profile
COLUMNS = ("profile", "tokens", "val_bits_per_byte")


def keep(*, curve: Path = CURVE, kept: Path = KEPT) -> str:
    """Makes the present curve the kept one of its profile; returns the profile's name.

    Raises UserError where the curve is not the one that dvc.lock names, or the profile was changed since it was made.
    """
    profile = str(read_yaml(PARAMS_FILE).get("profile", ""))
    lock = Lock()
    lock.check(curve)
    if (made_by := lock.profile()) != profile:
        raise UserError(f"{curve} was made by profile '{made_by}', {PARAMS_FILE} says '{profile}': run the chain first")
    others = [row for row in _rows(kept) if row["profile"] != profile]
    present = [{**row, "profile": profile} for row in _rows(curve)]
    stage.write_text(kept, _table(sorted([*others, *present], key=lambda row: (row["profile"], int(row["tokens"])))))
    return profile


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _table(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
