"""What MLflow holds of a workspace, asked in a process of its own."""

import json
import sys
from typing import Any

from tests.e2e.workspace import Workspace, succeeded

VERSIONS = """
import json, sys
from tasks.registry import store
client = store.connect()
found = client.search_model_versions("name='fledgling'")
runs = client.search_runs([store.experiment_id(client)])
aliases = dict(client.get_registered_model("fledgling").aliases) if found else {}
json.dump({
    "versions": [{"version": int(one.version), "run_id": one.run_id, "tags": one.tags} for one in found],
    "runs": [{"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status, "tags": run.data.tags,
              "metrics": run.data.metrics, "inputs": [one.dataset.name for one in run.inputs.dataset_inputs]}
             for run in runs],
    "aliases": aliases,
}, sys.stdout)
"""


def registry(workspace: Workspace, **extra: str) -> dict[str, Any]:
    """What MLflow holds."""
    done = workspace.run(sys.executable, "-W", "ignore", "-c", VERSIONS, **extra)
    succeeded(done)
    return dict(json.loads(done.stdout))
