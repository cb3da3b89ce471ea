"""What memory `ingest` and `prepare` take of ten times the text: what grows with it lies on disk."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from tasks import stage

ROOT = Path(__file__).resolve().parents[1]
STORIES = 7_000  # generated ones, some 5 MB; ten times as many are cleaned in several processes
STAGES: dict[str, list[str]] = {
    "ingest": ["--records", "raw.parquet", "--unreadable", "unreadable.jsonl", "--metrics", "ingest.json"],
    "prepare": [
        *("--records", "raw.parquet", "--clean", "clean"),
        *("--rejected", "rejected.parquet", "--metrics", "prepare.json"),
    ],
}


def prepare_rss_of_50_mb_vs_5_mb() -> Row:
    """The highest resident memory of a process of `ingest` or `prepare`, on generated stories, once each."""
    small, large = (_peaks(stories) for stories in (STORIES, 10 * STORIES))
    told = (f"{name} {large[name]:.0f} beside {small[name]:.0f} MiB" for name in STAGES)
    return Row(
        name="prepare_rss_of_50_mb_vs_5_mb",
        unit="MiB",
        value=round(max(large.values()), 1),
        peer="a tenth of the text",
        peer_value=round(max(small.values()), 1),
        bar=0.85,  # heaps breathe; 45 MB more of text in memory would be below
        lower_is_better=True,
        note=", ".join(told),
    )


def _peaks(stories: int) -> dict[str, float]:
    """MiB of each stage, as it says itself, on so many generated stories and the hand-written hold-out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(json.dumps(_params(stories)))
        for called, arguments in STAGES.items():
            command = [sys.executable, "-m", f"tasks.{called}", *arguments]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        timings = folder / "var" / "timings"
        return {called: json.loads((timings / f"{called}.json").read_text())["peak_rss_mib"] for called in STAGES}


def _params(stories: int) -> dict[str, Any]:
    source = {
        "name": "generated", "kind": "storybook", "part": "generated", "stories": stories, "seed": 1, "weight": 1.0,
    }  # fmt: skip
    own = stage.read_yaml(ROOT / "params.yaml")
    return {"ingest": {**own["ingest"], "sources": [source]}, "prepare": own["prepare"]}
