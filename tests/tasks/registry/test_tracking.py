"""Telling MLflow of a chain while it runs: stored once, with the files' own times, and never in anyone's way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import pytest

from tasks.registry import store
from tasks.registry.runs import now_ms
from tasks.tracking import UNSENT, ChainRun, Event, Followed, Sender, send_unsent
from tests.tasks.registry.test_register import free_port

pytestmark = pytest.mark.filterwarnings(  # MLflow of its own classes and of its own use of pandas
    "ignore:.*type hint:UserWarning", "ignore:Operation with range is deprecated"
)

CURVE = Path("var/runs/pretrain/metrics.jsonl")


def write_curve(steps: int, *, first_ms: int = 1_700_000_000_000) -> None:
    CURVE.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"time": first_ms + 1_000 * n, "step": n, "train/loss": 5.0 - n} for n in range(steps)]
    CURVE.write_text("".join(json.dumps(line) + "\n" for line in lines))


def tell(stream: IO[str] | None, **event: object) -> None:
    assert stream is not None
    stream.write(json.dumps(event) + "\n")
    stream.flush()


@pytest.fixture
def tracking(chain: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.tracking"],
        cwd=chain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        stream.close()


def first_run(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[1]


def stage_run(parent: str, stage: str) -> Any:
    client = store.connect()
    found = client.search_runs(
        [store.experiment_id(client)], f"tags.`mlflow.parentRunId`='{parent}' and tags.stage='{stage}'"
    )
    return found[0]


def status(run_id: str) -> str:
    return str(store.connect().get_run(run_id).info.status)


def history(run_id: str) -> list[tuple[int, int, float]]:
    found = store.connect().get_metric_history(run_id, "train/loss")
    return [(metric.step, metric.timestamp, metric.value) for metric in found]


def test_a_chain_is_one_run_with_a_child_a_stage(tracking: "subprocess.Popen[str]") -> None:
    tell(tracking.stdin, event="started", stage="pretrain")
    parent = first_run(tracking)
    time.sleep(0.5)
    write_curve(3)
    tell(tracking.stdin, event="ended", stage="pretrain", ok=True)
    tell(tracking.stdin, event="started", stage="evaluate")
    tell(tracking.stdin, event="ended", stage="evaluate", ok=False)
    tell(tracking.stdin, event="closed", ok=False)
    output, errors = tracking.communicate(timeout=30)

    assert (output, errors, tracking.returncode) == ("", "", 0)
    pretrain = stage_run(parent, "pretrain")
    assert history(pretrain.info.run_id) == [(n, 1_700_000_000_000 + 1_000 * n, 5.0 - n) for n in range(3)]
    assert pretrain.data.metrics["parameters"] == 5_000
    assert pretrain.inputs.dataset_inputs[0].dataset.name == "data/clean"
    assert (pretrain.info.status, stage_run(parent, "evaluate").info.status) == ("FINISHED", "FAILED")
    assert status(parent) == "FAILED"


def test_asked_to_end_it_closes_its_runs_as_killed(tracking: "subprocess.Popen[str]") -> None:
    tell(tracking.stdin, event="started", stage="pretrain")
    parent = first_run(tracking)
    time.sleep(0.5)
    tracking.send_signal(signal.SIGTERM)

    assert tracking.wait(20) == 0
    assert (status(parent), stage_run(parent, "pretrain").info.status) == ("KILLED", "KILLED")


def test_a_flow_that_dies_leaves_a_killed_run(tracking: "subprocess.Popen[str]") -> None:
    parent = first_run(tracking)
    assert tracking.stdin is not None
    tracking.stdin.close()

    assert tracking.wait(20) == 0
    assert status(parent) == "KILLED"


def test_a_server_that_is_down_stops_nothing(chain: Path) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tasks.tracking"],
        cwd=chain, env=os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"},
        input='{"event": "started", "stage": "ingest"}\nnot an event\n{"event": "closed", "ok": true}\n',
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert len(done.stderr.splitlines()) == 1
    assert "the chain goes on" in done.stderr
    assert time.monotonic() - started < 40


def test_sent_twice_is_stored_once(chain: Path) -> None:
    told = ChainRun()
    told.note(Event(kind="started", stage="pretrain"))
    told.send()
    write_curve(4)
    told.send()
    told.stages[0].followed.sent(0)
    told.send()

    assert told.stages[0].run_id is not None
    assert len(history(told.stages[0].run_id)) == 4


def a_chain_in_an_outage(monkeypatch: pytest.MonkeyPatch) -> ChainRun:
    """MLflow hears of the start of pretrain and of nothing more."""
    told = ChainRun()
    told.note(Event(kind="started", stage="pretrain"))
    told.send()
    write_curve(4)
    told.note(Event(kind="ended", stage="pretrain", ok=True))
    told.note(Event(kind="started", stage="evaluate"))
    told.note(Event(kind="ended", stage="evaluate", ok=True))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no answer")

    with monkeypatch.context() as away:
        away.setattr(told, "send", refuse)
        events: SimpleQueue[Event] = SimpleQueue()
        events.put(Event(kind="closed", ok=True))
        Sender(told).follow(events)
    return told


def test_what_was_not_sent_is_sent_later_and_once(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = a_chain_in_an_outage(monkeypatch)
    assert UNSENT.exists()
    assert told.run_id is not None
    assert status(told.run_id) == "RUNNING"

    again = UNSENT.read_text()
    assert send_unsent() == told.run_id
    assert not UNSENT.exists()
    UNSENT.write_text(again)  # as if this process had been killed before it forgot
    pretrain = stage_run(told.run_id, "pretrain")
    assert send_unsent() == told.run_id
    assert send_unsent() is None

    assert status(told.run_id) == "FINISHED"
    assert history(pretrain.info.run_id) == [(n, 1_700_000_000_000 + 1_000 * n, 5.0 - n) for n in range(4)]
    assert stage_run(told.run_id, "pretrain").info.status == "FINISHED"
    assert stage_run(told.run_id, "evaluate").data.metrics["base_grammar_accuracy"] == 0.7


def test_what_was_not_sent_of_another_chain_stays_unsent(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = a_chain_in_an_outage(monkeypatch)
    (chain / "dvc.lock").write_text("stages: {}\n")
    assert send_unsent() is None
    assert told.run_id is not None
    assert status(told.run_id) == "RUNNING"


def test_what_an_earlier_run_left_is_not_sent(chain: Path) -> None:
    write_curve(4)
    os.utime(CURVE, (1_700_000_000, 1_700_000_000))
    told = ChainRun()
    told.note(Event(kind="started", stage="pretrain"))
    told.note(Event(kind="ended", stage="pretrain", ok=True))
    told.send()

    assert told.stages[0].run_id is not None
    assert history(told.stages[0].run_id) == []


def test_another_attempt_is_another_child(chain: Path) -> None:
    told = ChainRun()
    for ok in (False, True):
        told.note(Event(kind="started", stage="ingest"))
        told.note(Event(kind="ended", stage="ingest", ok=ok))
    told.close(Event(kind="closed", ok=True))

    assert told.run_id is not None
    assert [status(str(stage.run_id)) for stage in told.stages] == ["FAILED", "FINISHED"]
    assert status(told.run_id) == "FINISHED"


def test_half_a_line_waits_and_a_file_cut_back_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    followed = Followed(path, since_ms=now_ms() - 1_000)
    path.write_text('{"time": 1, "step": 0, "a": 1}\n{"time": 2, "st')
    lines, offset = followed.new_lines()
    assert [line["time"] for line in lines] == [1]
    followed.sent(offset)

    path.write_text('{"time": 3}\n')
    assert [line["time"] for line in followed.new_lines()[0]] == [3]
