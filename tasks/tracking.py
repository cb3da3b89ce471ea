"""Tells MLflow of a chain while it runs: `python -m tasks.tracking`, a process beside the flow.

Standard input, one JSON object a line: {"event": "started", "stage": s}, {"event": "ended", "stage": s, "ok": bool},
{"event": "closed", "ok": bool}. Standard output: `run <id of the chain's MLflow run>`, once, and nothing else.
Whatever happens to MLflow stops nothing: one warning on standard error, exit code 0.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from tasks import report, workspace
from tasks.registry import evidence, runs, store
from tasks.registry.evidence import Lock
from tasks.registry.runs import now_ms
from tasks.stage import STATE, write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

UNSENT = STATE / "mlflow" / "unsent.json"  # a chain whose end MLflow did not hear of

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
    ended_ms: int | None = None
    status: Status = "FINISHED"
    run_id: str | None = None
    told: bool = False

    @cached_property
    def followed(self) -> Followed:
        """What the attempt writes while it runs; sent again from its start, it is stored once."""
        return Followed(STATE / "runs" / self.stage / "metrics.jsonl", since_ms=self.started_ms)

    def end(self, status: Status, *, at_ms: int) -> None:
        if self.ended_ms is None:
            self.ended_ms, self.status = at_ms, status


class ChainRun:
    """The state of a chain, and the one function that brings MLflow up to it; told again it changes nothing."""

    def __init__(self) -> None:
        self.started_ms = now_ms()
        self.run_id: str | None = None
        self.stages: list[StageRun] = []
        self.ended_ms: int | None = None
        self.status: Status = "KILLED"
        self._client: MlflowClient | None = None

    def note(self, event: Event) -> None:
        """Takes in what the flow said; nothing is sent."""
        attempts = [run for run in self.stages if run.stage == event.stage]
        if event.kind == "started":
            self.stages.append(StageRun(stage=event.stage, attempt=len(attempts) + 1, started_ms=event.at_ms))
        elif event.kind == "ended" and attempts:
            attempts[-1].end("FINISHED" if event.ok else "FAILED", at_ms=event.at_ms)
        elif event.kind == "closed":
            self._end(event)

    def _end(self, event: Event) -> None:
        """What still ran was killed, and so was a chain that no stage of its own failed."""
        for run in self.stages:
            run.end("KILLED", at_ms=event.at_ms)
        self.ended_ms, self.status = event.at_ms, self._status(event)

    def send(self) -> None:
        """Sends what MLflow does not know yet. Raises what MLflow raises; the next call goes on from there."""
        if self._client is None:
            self._client = store.connect()
        if self.run_id is None:
            self.run_id = runs.start_chain(self._client, started_ms=self.started_ms, origin="flow")
        for run in self.stages:
            if not run.told:
                self._send_stage(self._client, run, parent=self.run_id)
        if self.ended_ms is not None:
            runs.set_tags(self._client, self.run_id, runs.workspace_tags())
            runs.end(self._client, self.run_id, status=self.status, ended_ms=self.ended_ms)

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
        """Notes the end and sends it."""
        self.note(event)
        self.send()

    def keep(self) -> None:
        """Writes down what MLflow was not told, for `send_unsent`."""
        told = {
            "uri": store.tracking_uri(),
            "lock_hash": workspace.lock_hash(),
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "status": self.status,
            "run_id": self.run_id,
            "stages": [asdict(run) for run in self.stages],
        }
        write_text(UNSENT, json.dumps(told, indent=1) + "\n")

    @classmethod
    def kept(cls) -> "ChainRun | None":
        """The chain that was written down, where its files are still the ones in this folder."""
        told = report.read_json(UNSENT)
        if not told or (told["uri"], told["lock_hash"]) != (store.tracking_uri(), workspace.lock_hash()):
            return None
        chain = cls()
        chain.started_ms, chain.ended_ms = told["started_ms"], told["ended_ms"]
        chain.status, chain.run_id = told["status"], told["run_id"]
        chain.stages = [StageRun(**run) for run in told["stages"]]
        return chain

    def _status(self, event: Event) -> Status:
        if event.ok:
            return "FINISHED"
        failed = event.ok is False and any(stage.status == "FAILED" for stage in self.stages)
        return "FAILED" if failed else "KILLED"


def send_unsent() -> str | None:
    """Sends what MLflow was not told while it was away; returns the chain's run, None where nothing was left.

    Sent twice it is stored once. Raises what MLflow raises; the next call goes on from there.
    """
    chain = ChainRun.kept()
    if chain is None:
        return None
    try:
        chain.send()
    except Exception:
        chain.keep()
        raise
    UNSENT.unlink(missing_ok=True)
    return chain.run_id


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
        self._announced = False
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
                if not self._try(partial(self.chain.close, event)):
                    self.chain.keep()
                return
            self.chain.note(event)
            self._try(self.chain.send)

    def _try(self, send: Callable[[], None]) -> bool:
        """Whether it was sent."""
        if time.monotonic() < self._not_before:
            return False
        try:
            send()
            self._announce()
            return True
        except Exception as error:  # whatever MLflow, its server, a disk or a proxy may raise: the chain goes on
            self._not_before = time.monotonic() + AFTER_A_FAILURE_S
            if not self._warned:
                log.warning(
                    "MLflow at %s: %s; the chain goes on, `fledgling register` sends what is missing",
                    store.tracking_uri(),
                    (str(error).splitlines() or [type(error).__name__])[0][:200],
                )
            self._warned = True
            self._announce()  # the run may be there, though not all of it
            return False

    def _announce(self) -> None:
        if self.chain.run_id is None or self._announced:
            return
        try:
            print(f"run {self.chain.run_id}", flush=True)
        except BrokenPipeError:  # the flow is gone: nobody waits for the line
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self._announced = True


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
