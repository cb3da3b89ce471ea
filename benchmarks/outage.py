"""What training loses while MLflow is away: the stage and the process that tells MLflow, as the flow starts them."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.row import Row
from tasks import stage
from tasks.stage import UserError

ROOT = Path(__file__).resolve().parents[1]
NEEDS = ("data/tokens", "data/tokenizer")  # of the workspace's chain
BUDGET_TOKENS = 200_000  # a fifth of the default's
ROUNDS = 3
READY_S = 120.0
CLOSING_S = 10.0  # for the last figures, after training


def training_with_mlflow_away() -> Row:
    """Median seconds of `pretrain` with no server at MLflow's address, or one that never answers, beside one that does.

    The slower of the two is the value; rounds interleaved, the default shape. What is measured is the stage alone: its
    figures are sent by another process, which works on the same cores. Raises UserError where the chain has not run.
    """
    if missing := [path for path in NEEDS if not Path(path).exists()]:
        raise UserError(f"{missing[0]}: no such folder; run `make pipeline` first")
    taken: dict[str, list[float]] = {"there": [], "away": [], "silent": []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(ROUNDS):
            for how, seconds in taken.items():
                folder = Path(name) / f"{how}-{number}"
                folder.mkdir()
                with _mlflow(folder, how) as uri:
                    seconds.append(_seconds_of_pretrain(folder, uri))
    medians = {how: statistics.median(seconds) for how, seconds in taken.items()}
    return Row(
        name="training_with_mlflow_away",
        unit="s",
        value=round(max(medians["away"], medians["silent"]), 2),
        peer="MLflow there",
        peer_value=round(medians["there"], 2),
        bar=0.95,
        lower_is_better=True,
        note=", ".join(f"{how} {seconds:.2f} s" for how, seconds in medians.items()),
    )


@contextmanager
def _mlflow(folder: Path, how: str) -> Iterator[str]:
    """The address of a server that is there, that is away, or that takes connections and says nothing."""
    from flows.local import free_port

    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    if how == "away":
        yield uri
        return
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "art")]
    off = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *store], cwd=folder, env={**os.environ, **off}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"{uri}/health")
        if how == "silent":
            os.killpg(server.pid, signal.SIGSTOP)
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(address: str) -> None:
    give_up_at = time.monotonic() + READY_S
    while not _answers(address):
        if time.monotonic() > give_up_at:
            raise UserError(f"{address}: MLflow did not start within {READY_S:g} s")
        time.sleep(0.3)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _seconds_of_pretrain(folder: Path, uri: str) -> float:
    """Trains in the folder while `tasks.tracking` sends the figures to MLflow, as beside a flow."""
    _workspace(folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri}
    told = subprocess.Popen(
        [sys.executable, "-m", "tasks.tracking"], cwd=folder, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert told.stdin is not None
    told.stdin.write(json.dumps({"event": "started", "stage": "pretrain"}) + "\n")
    told.stdin.flush()
    command = [
        *(sys.executable, "-m", "tasks.pretrain", "--tokens", "data/tokens", "--model", "models/base"),
        *("--tokenizer", "data/tokenizer/tokenizer.json", "--metrics", "metrics/pretrain.json"),
        *("--curve", "plots/pretrain.csv", "--samples", "data/pretrain_samples.jsonl"),
    ]
    started = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds = time.monotonic() - started
    told.stdin.write(json.dumps({"event": "closed", "ok": True}) + "\n")
    told.stdin.close()
    try:
        told.wait(CLOSING_S)
    except subprocess.TimeoutExpired:  # a server that is silent keeps it, as it keeps the flow no longer than its limit
        told.kill()
        told.wait()
    return seconds


def _workspace(folder: Path) -> None:
    """A folder with the chain's tokens and parameters, its training shortened."""
    for path in NEEDS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(Path(path).resolve())
    params: dict[str, Any] = stage.read_yaml(Path("params.yaml"))
    pretrain = {**params["pretrain"], "budget_tokens": BUDGET_TOKENS, "final_evaluation_documents": 64}
    (folder / "params.yaml").write_text(json.dumps({"pretrain": pretrain}))
