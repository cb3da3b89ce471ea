"""The flow's line to MLflow: a process of its own that is told what happens and never holds a stage up."""

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from prefect.runtime import flow_run

from flows import process
from flows.graph import StageNode

log = logging.getLogger(__name__)

CLOSING_S = 60  # how long the last figures may take to be sent
CANCELLED_S = 3  # and those of a run that somebody stopped: `fledgling register` sends what is missing


class Tracker:
    """Tells `python -m tasks.tracking` of stages started and ended; whatever happens to it stops nothing."""

    def __init__(self, stages: Sequence[StageNode]) -> None:
        self.run_id: str | None = None
        self._stages = [stage.name for stage in stages]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Tracker":
        if self._stages:
            self._process = process.start(
                [sys.executable, "-m", "tasks.tracking"],
                extra={"FLEDGLING_PIPELINE_RUN": str(flow_run.id or "")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancelled = kind is not None and not issubclass(kind, Exception)
        self.close(ok=kind is None, limit_s=CANCELLED_S if cancelled else CLOSING_S)

    def stage_started(self, stage: str) -> None:
        self._tell(event="started", stage=stage)

    def stage_ended(self, stage: str, *, ok: bool) -> None:
        self._tell(event="ended", stage=stage, ok=ok)

    def close(self, *, ok: bool = True, limit_s: float = CLOSING_S) -> None:
        """Waits until the last figures are sent; afterwards `run_id` is the chain's MLflow run, if there is one."""
        if self._process is None:
            return
        self._tell(event="closed", ok=ok)
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            output, _ = self._process.communicate(timeout=limit_s)
            self.run_id = next((line.split()[1] for line in output.splitlines() if line.startswith("run ")), None)
        process.stop(self._process)
        self._process = None

    def _tell(self, **event: object) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(json.dumps(event) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            log.warning("MLflow tracking ended early; `fledgling register` sends what is missing")
