"""`make loop`: two batches of simulated reviews for each hidden preference, through the platform's real servers.

Writes benchmarks/loop.json, docs/loop.md and docs/loop.svg. An hour or more on two cores; what is made stays in
var/loop, and the first chain is not made again by a second call.
"""

import argparse
import json
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.loop.damaged import damaged
from benchmarks.loop.preferences import PREFERENCES, Preference
from benchmarks.loop.report import markdown, svg
from benchmarks.loop.rounds import Loop, Round
from benchmarks.loop.servers import platform_of
from benchmarks.loop.workspace import Workspace
from tasks import stage

log = logging.getLogger(__name__)

FOLDER, RESULTS, TOLD, PICTURE = (
    Path("var/loop"),
    Path("benchmarks/loop.json"),
    Path("docs/loop.md"),
    Path("docs/loop.svg"),
)
ROUNDS = 2


def main() -> None:
    """Drives the loops that are asked for, and writes the files after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=[one.name for one in PREFERENCES], help="one of the preferences")
    parser.add_argument("--seed", type=int, default=1, help="of the reviewers' noise")
    options = parser.parse_args()
    with stage.process("loop"):
        for name in ("benchmarks", "httpx"):
            logging.getLogger(name).setLevel(logging.INFO if name == "benchmarks" else logging.WARNING)
        first = _first_chain()
        for preference in PREFERENCES:
            if options.only in (None, preference.name):
                for found in drive(preference, first, seed=options.seed):
                    _keep(preference, found)


def drive(preference: Preference, first: Workspace, *, seed: int) -> Iterator[dict[str, Any]]:
    """What is known after each round; at the end, where the judge sees the preference, of a damaged candidate too."""
    folder = FOLDER / preference.name
    shutil.rmtree(folder, ignore_errors=True)
    workspace = first.copy(folder)
    rounds: list[Round] = []
    with platform_of(workspace, FOLDER / f"{preference.name}.log") as running:
        loop = Loop(workspace, running, preference, seed=seed)
        for number in range(ROUNDS + 1):
            rounds.append(loop.round(number) if number else loop.first())
            _tell(preference, rounds[-1])
            found = {"params": workspace.overlaid(), "rounds": [asdict(one) for one in rounds]}
            yield found
    if preference.is_seen:
        yield {**found, "damaged": damaged(workspace, FOLDER / f"{preference.name}-damaged")}


def _first_chain() -> Workspace:
    """A clone with the whole chain run in it once."""
    workspace = Workspace(FOLDER / "first")
    if not (workspace.folder / "var/registered.json").exists():
        shutil.rmtree(workspace.folder, ignore_errors=True)
        workspace.clone(Path())
        log.info("the whole chain runs once in %s", workspace.folder)
        workspace.fledgling("run")
        workspace.commit("The first chain")
    return workspace


def _keep(preference: Preference, found: dict[str, Any]) -> None:
    told = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"preferences": {}}
    stated = {"likes": preference.likes, "expected": preference.expected, "why": preference.why}
    told["preferences"][preference.name] = {**stated, **found}
    told |= {"date": date.today().isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} CPUs"}
    stage.write_text(RESULTS, json.dumps(told, indent=1, sort_keys=True) + "\n")
    told = json.loads(RESULTS.read_text(encoding="utf-8"))
    stage.write_text(TOLD, markdown(told))
    stage.write_text(PICTURE, svg(told))
    log.info("%s, %s, %s", RESULTS, TOLD, PICTURE)


def _tell(preference: Preference, one: Round) -> None:
    figures = one.figures
    log.info(
        "%s, round %d: %.1f %% [%.1f, %.1f] of %d stories are liked; the gate says '%s': %s",
        preference.name, one.number, 100 * figures["share"], 100 * figures["share_low"], 100 * figures["share_high"],
        figures["stories"], one.decision, "; ".join(figures["gate"]["reasons"]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
