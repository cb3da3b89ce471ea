"""Tells MLflow of a chain while it runs: `python -m tasks.tracking`, a process beside the flow.

Standard input, one JSON object a line: {"event": "started", "stage": s}, {"event": "ended", "stage": s, "ok": bool},
{"event": "closed", "ok": bool}. Standard output: `run <id of the chain's MLflow run>`, once, and nothing else.
Whatever happens to MLflow stops nothing: one warning on standard error, exit code 0.
"""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from tasks.registry import evidence, runs, store
from tasks.registry.evidence import Lock
from tasks.registry.runs import now_ms
from tasks.stage import STATE

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 3.0  # how often new lines of the running stages' metrics are sent
AFTER_A_FAILURE_S = 15.0  # how long a server that did not answer is left alone

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What the flow said, and when. ok is None where nobody was left to say: the flow was killed."""

    kind: Literal["started", "ended", "closed"]
    stage: str = ""
    ok: bool | None = None
    at_ms: int = field(default_factory=now_ms)

    @classmethod
    def parse(cls, line: str) -> "Event | None":
        """An event of one line of JSON, or None where it is not one."""
        try:
            told = json.loads(line)
            kind, stage, ok = told["event"], told.get("stage", ""), told.get("ok")
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return cls(kind=kind, stage=stage, ok=ok) if kind in ("started", "ended", "closed") else None


class Followed:
    """The metrics file of a running stage (JSON Lines), read on from where it was left."""

    def __init__(self, path: Path, *, since_ms: int) -> None:
        self.path = path
        self._since_ms = since_ms
        self._offset = 0

    def new_lines(self) -> tuple[list[dict[str, Any]], int]:
        """Whole lines that came since the last `sent`, and the offset behind them.

        A file that was not touched since the stage started belongs to an earlier run: DVC restored the stage.
        One that was cut back (a resumed run) is read from its start; what was sent already is stored once.
        """
        if not self.path.exists() or self.path.stat().st_mtime_ns // 1_000_000 < self._since_ms:
            return [], self._offset
        if self.path.stat().st_size < self._offset:
            self._offset = 0
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        return list(_objects(whole.decode(errors="replace").splitlines())), self._offset + len(whole)

    def sent(self, offset: int) -> None:
        """Goes on from there."""
        self._offset = offset


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "time" in found:
            yield found


@dataclass(kw_only=True)
class StageRun:
    """One attempt at a stage: what happened, and how much of it MLflow knows."""

    stage: str
    attempt: int
    started_ms: int
    followed: Followed
    ended_ms: int | None = None
    status: Status = "FINISHED"
    run_id: str | None = None
    told: bool = False

    def end(self, status: Status, *, at_ms: int) -> None:
        if self.ended_ms is None:
            self.ended_ms, self.status = at_ms, status


class ChainRun:
    """The state of a chain, and the one function that brings MLflow up to it; told again it changes nothing."""

    def __init__(self) -> None:
        self.started_ms = now_ms()
        self.run_id: str | None = None
        self.stages: list[StageRun] = []
        self._client: MlflowClient | None = None

    def note(self, event: Event) -> None:
        """Takes in what the flow said; nothing is sent."""
        attempts = [run for run in self.stages if run.stage == event.stage]
        if event.kind == "started":
            path = STATE / "runs" / event.stage / "metrics.jsonl"
            followed = Followed(path, since_ms=event.at_ms)
            self.stages.append(
                StageRun(stage=event.stage, attempt=len(attempts) + 1, started_ms=event.at_ms, followed=followed)
            )
        elif event.kind == "ended" and attempts:
            attempts[-1].end("FINISHED" if event.ok else "FAILED", at_ms=event.at_ms)

    def send(self) -> None:
        """Sends what MLflow does not know yet. Raises what MLflow raises; the next call goes on from there."""
        if self._client is None:
            self._client = store.connect()
        if self.run_id is None:
            self.run_id = runs.start_chain(self._client, started_ms=self.started_ms, origin="flow")
            print(f"run {self.run_id}", flush=True)
        for stage in self.stages:
            if not stage.told:
                self._send_stage(self._client, stage, parent=self.run_id)

    def _send_stage(self, client: "MlflowClient", stage: StageRun, *, parent: str) -> None:
        if stage.run_id is None:
            run_id = runs.start_stage(
                client, parent=parent, stage=stage.stage, started_ms=stage.started_ms, attempt=stage.attempt
            )
            stage.run_id = run_id
            runs.log_params(client, run_id, evidence.params_now(stage.stage))
        self._send_new_lines(client, stage, stage.run_id)
        if stage.ended_ms is None:
            return
        if stage.status == "FINISHED":
            runs.log_stage(client, stage.run_id, stage.stage, lock=Lock(), ended_ms=stage.ended_ms)
        runs.end(client, stage.run_id, status=stage.status, ended_ms=stage.ended_ms)
        stage.told = True

    @staticmethod
    def _send_new_lines(client: "MlflowClient", stage: StageRun, run_id: str) -> None:
        lines, offset = stage.followed.new_lines()
        if lines:
            runs.log_metrics(client, run_id, list(_metrics(lines)))
            stage.followed.sent(offset)

    def close(self, event: Event) -> None:
        """Sends the end: what was still running was killed, and so was a chain that no stage of its own failed."""
        for stage in self.stages:
            stage.end("KILLED", at_ms=event.at_ms)
        self.send()
        assert self._client is not None
        assert self.run_id is not None
        runs.set_tags(self._client, self.run_id, runs.workspace_tags())
        runs.end(self._client, self.run_id, status=self._status(event), ended_ms=event.at_ms)

    def _status(self, event: Event) -> Status:
        if event.ok:
            return "FINISHED"
        failed = event.ok is False and any(stage.status == "FAILED" for stage in self.stages)
        return "FAILED" if failed else "KILLED"


def _metrics(lines: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """MLflow's metrics of a file's lines, with the file's own time stamps and steps."""
    from mlflow.entities import Metric

    for line in lines:
        for key, value in line.items():
            if key not in ("time", "step") and isinstance(value, int | float):
                yield Metric(key, float(value), int(line["time"]), int(line.get("step", 0)))


class Sender:
    """Sends after each event and every few seconds; warns once, and leaves a server that fails alone for a while."""

    def __init__(self, chain: ChainRun) -> None:
        self.chain = chain
        self._warned = False
        self._not_before = 0.0

    def follow(self, events: "SimpleQueue[Event]") -> None:
        """Runs until the flow closes, dies, or this process is asked to end."""
        self._try(self.chain.send)
        while True:
            try:
                event = events.get(timeout=FOLLOW_EVERY_S)
            except Empty:
                self._try(self.chain.send)
                continue
            if event.kind == "closed":
                self._not_before = 0.0
                self._try(partial(self.chain.close, event))
                return
            self.chain.note(event)
            self._try(self.chain.send)

    def _try(self, send: Callable[[], None]) -> None:
        if time.monotonic() < self._not_before:
            return
        try:
            send()
        except Exception as error:  # whatever MLflow, its server, a disk or a proxy may raise: the chain goes on
            self._not_before = time.monotonic() + AFTER_A_FAILURE_S
            if not self._warned:
                log.warning(
                    "MLflow at %s: %s; the chain goes on, `fledgling register` sends what is missing",
                    store.tracking_uri(),
                    (str(error).splitlines() or [type(error).__name__])[0][:200],
                )
            self._warned = True


def listen(lines: Iterable[str], events: "SimpleQueue[Event]") -> None:
    """Notes each line as it comes, with its time; the end of the lines is the end of the flow."""
    for line in lines:
        event = Event.parse(line)
        if event is None:
            log.debug("not an event: %r", line)
            continue
        events.put(event)
    events.put(Event(kind="closed"))


def main() -> None:
    """Follows the flow on standard input to its end."""
    logging.basicConfig(level=logging.ERROR, format="tracking | %(message)s", stream=sys.stderr)
    log.setLevel(logging.WARNING)
    events: SimpleQueue[Event] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):  # a flag, not an exception: a call under way is not torn apart
        signal.signal(number, lambda *_: events.put(Event(kind="closed")))
    # not sys.stdin: Python waits for its lock at the end, which the thread may hold
    lines = open(sys.stdin.fileno(), encoding="utf-8", closefd=False)  # noqa: SIM115
    threading.Thread(target=listen, args=(lines, events), daemon=True).start()
    Sender(ChainRun()).follow(events)


if __name__ == "__main__":
    main()
