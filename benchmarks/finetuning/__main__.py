"""`make study`: LoRA beside full, and the learning curve, where the chain has run.

Writes benchmarks/finetuning.json, .md and .svg; `--quick` spends next to nothing and writes to var/study. What the
processes make stays in var/study, and is not made again by a second call.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
from datetime import date
from pathlib import Path

from benchmarks.finetuning.curve import learning_curve
from benchmarks.finetuning.methods import compare_methods, rows_of
from benchmarks.finetuning.plan import QUICK, STUDY, WHOLE, Plan, open_workspace, smaller
from benchmarks.finetuning.report import markdown, svg
from benchmarks.finetuning.runs import Figures
from benchmarks.finetuning.scoring import scoring_of
from tasks import stage

log = logging.getLogger(__name__)


def main() -> None:
    """Runs what the study's parts need, and writes its files after each part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetuning", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="next to no training: whether it runs at all")
    parser.add_argument("--only", choices=("methods", "curve"), help="one of the two parts")
    parser.add_argument("--share", type=float, default=1.0, help="of the budgets, where time is short (0.3)")
    options = parser.parse_args()
    with stage.process("study"):
        logging.getLogger("benchmarks").setLevel(logging.INFO)
        _study(
            QUICK if options.quick else smaller(WHOLE, options.share),
            parts=(options.only,) if options.only else ("methods", "curve"),
        )


def _study(plan: Plan, parts: tuple[str, ...]) -> None:
    out = STUDY / "quick" if plan is QUICK else Path("benchmarks")
    workspace = open_workspace(Path())
    scoring = scoring_of(workspace, plan)
    file = out / "finetuning.json"
    study: Figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    threads = workspace.section("finetune")["threads"]
    study |= {"machine": _machine(), "date": date.today().isoformat(), "share": plan.budget_share, "threads": threads}
    if "methods" in parts:
        study |= compare_methods(plan, workspace, scoring)
        told = {"machine": study["machine"], "date": study["date"]}
        study["rows"] = [{**row, **told} for row in rows_of(study["methods"])]
        _write(file, study)
    if "curve" in parts:
        study["curve"] = []
        for point in learning_curve(plan, workspace, scoring):
            study["curve"].append(point)
            _write(file, study)
    log.info("%s, %s", file, file.with_suffix(".md"))


def _machine() -> str:
    kind = platform.processor() or platform.system()
    return f"{platform.machine()}, {kind}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _write(file: Path, study: Figures) -> None:
    stage.write_text(file, json.dumps(study, indent=2) + "\n")
    stage.write_text(file.with_suffix(".md"), markdown(study))
    if study.get("curve"):
        stage.write_text(file.with_suffix(".svg"), svg(study["curve"]))


if __name__ == "__main__":
    main()
