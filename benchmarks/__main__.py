"""`make bench`: runs every measurement, writes benchmarks/results.json, prints the rows."""

import json
import platform
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

from benchmarks import (
    gate_false_promotion,
    generation,
    judging_endpoint,
    judging_heuristic,
    memory,
    noop,
    outage,
    review_label_studio,
    review_load,
    review_page,
    serving,
    training,
)
from tasks.stage import UserError

RESULTS = Path("benchmarks/results.json")
MEASUREMENTS = (
    noop.noop_repro_vs_dvc,
    memory.prepare_rss_of_50_mb_vs_5_mb,
    generation.generate_batch32_vs_one_by_one,
    generation.generate_torch_vs_transformers,
    generation.generate_batch64_vs_transformers,
    generation.generate_llamacpp_vs_transformers,
    *serving.ROWS,
    judging_endpoint.endpoint_judge_busy_share,
    judging_heuristic.judge_1000_pairs_vs_60_s,
    training.finetune_vs_pretrain,
    outage.training_with_mlflow_away,
    review_load.review_submit_p95_sqlite,
    review_load.review_submit_p95_postgresql,
    review_page.review_page_lost_ms_per_item,
    review_label_studio.review_page_vs_label_studio,
    gate_false_promotion.gate_false_promotion,
)


def main() -> int:
    """Measures all rows; the exit code says whether each reached its bar. What can't run here is named."""
    rows, missing = [], []
    for measure in MEASUREMENTS:
        try:
            rows.append(measure())
        except UserError as error:
            missing.append(f"{measure.__name__}: NOT RUN: {error}")
    machine = f"{platform.machine()}, {platform.processor() or platform.system()}, Python {platform.python_version()}"
    entries = [
        {**asdict(row), "ratio": row.ratio, "machine": machine, "date": date.today().isoformat()} for row in rows
    ]
    RESULTS.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    print(*rows, *missing, sep="\n")
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
