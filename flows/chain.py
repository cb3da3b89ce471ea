"""What the flows `pipeline` and `improve` share: each stale stage as one Prefect task run, then the registering."""

import logging
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
from fasteners import ReaderWriterLock
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows import process
from flows.graph import Chain, StageNode
from flows.lock import one_run
from flows.tracking import Tracker
from tasks import report
from tasks.stage import UserError

MACHINE = ReaderWriterLock()  # held whole by a stage that takes every core, shared by the others
COMPUTE = "compute"  # the tag of such a stage
UNCHANGED = "not run: nothing that it reads has changed"
RUNNER: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=4)

CONSOLE = logging.getLogger("fledgling.console")  # silent unless `fledgling run` shows it

AWAY_S = 60.0  # a server that did not take a stage's progress is left alone for so long

_STEP = re.compile(r"\bstep ([\d,]+) of ([\d,]+)\b")
_SKIPPED = re.compile(r"Stage '.*' didn't change")
_OF_DVC = re.compile(
    r"Running stage|> |Updating lock|Generating lock|Use `dvc push`|WARNING: '.*' is empty"
    r"|To track the|To enable auto|\s+git add|\s+dvc config|\s*$"
)


class StageFailed(UserError):
    """A stage ended with an error; the text is its own last line."""


def this_run() -> AbstractContextManager[None]:
    """Holds the folder for the flow's run, as soon as no other run works in it."""

    def tell(line: str) -> None:
        get_run_logger().info(line)
        CONSOLE.info(line)

    return one_run(f"{flow_run.flow_name} run '{flow_run.name}'", tell=tell)


def reproduce(chain: Chain, *, force: bool = False, registered: bool = True) -> None:
    """Runs the stale stages in order, independent ones side by side; then MLflow is told, and the result registered.

    force: every stage, stale or not. Raises StageFailed with the line of the stage that failed.
    """
    stages = chain.to_run(force=force)
    with Tracker(stages) as tracker, process.none_left_behind():  # the stages end first, then MLflow is told
        futures: dict[str, PrefectFuture[None]] = {}
        for stage in stages:
            upstream = [futures[name] for name in stage.upstream if name in futures]
            futures[stage.name] = _submit(stage, upstream, force=force, tracker=tracker)
        for name in futures:
            futures[name].result()
        if registered:
            tracker.close()
            register_model(tracker.run_id)


def _submit(
    stage: StageNode, upstream: list[PrefectFuture[None]], *, force: bool, tracker: Tracker
) -> PrefectFuture[None]:
    policy = stage.policy
    bound = run_stage.with_options(
        name=stage.name,
        task_run_name=stage.name,
        description=stage.description,
        tags=policy.tags,
        retries=policy.retries,
        retry_delay_seconds=policy.retry_delay_s,
        retry_condition_fn=_came_from_outside,
    )
    return bound.submit(stage, force=force, tracker=tracker, wait_for=upstream)


def _came_from_outside(task: Any, run: Any, state: Any) -> bool:
    """Bad input stays bad, and what was cancelled stays so: only what is not the user's to mend is tried again."""
    if process.ending():
        return False
    try:
        state.result()
    except StageFailed as error:
        return not error.args[0].startswith(f"{run.name}:")
    except BaseException:
        return True
    return False


@task(persist_result=False, cache_policy=NO_CACHE)
def run_stage(stage: StageNode, *, force: bool, tracker: Tracker) -> None:
    """Has DVC reproduce one stage in a process of its own. Raises StageFailed with the stage's own line."""
    log = get_run_logger()
    last_lines: list[str] = []
    show_progress = _progress_of(stage.name)

    def on_line(line: str) -> None:
        if _SKIPPED.match(line):  # a stage before it was run, and made the same bytes again
            line = f"{stage.name} | {UNCHANGED}"
        elif _OF_DVC.match(line):
            log.debug(line)
            return
        log.info(line)
        CONSOLE.info(line)
        last_lines.append(line)
        del last_lines[:-20]
        show_progress(line)

    with _room_for(stage):
        tracker.stage_started(stage.name)
        code = _reproduce(stage, force=force, on_line=on_line, tracker=tracker)
    tracker.stage_ended(stage.name, ok=code == 0)
    if code != 0:
        raise StageFailed(_own_error(stage.name, last_lines) or f"{stage.name} ended with exit code {code}")
    _show(
        create_markdown_artifact, key=f"stage-{stage.name}", markdown=report.stage_markdown(stage.name),
        description=stage.description,
    )  # fmt: skip


def _reproduce(stage: StageNode, *, force: bool, on_line: Callable[[str], None], tracker: Tracker) -> int:
    """DVC's exit code. Raises StageFailed where the time is over: Prefect's own limit ends no waiting thread."""
    limit_s = stage.policy.time_limit_s
    try:
        return process.run(dvc_command(stage.name, force=force), on_line=on_line, limit_s=limit_s)
    except process.TookTooLong:
        tracker.stage_ended(stage.name, ok=False)
        raise StageFailed(f"{stage.name}: ended after {limit_s:g} s (meta.time_limit_s in dvc.yaml)") from None


def _show(make: Callable[..., Any], **what: Any) -> Any:
    """What the server keeps of an artifact; None where it does not take it now: its absence holds up no stage."""
    try:
        return make(**what)
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("Prefect was not shown '%s' (%s)", what["description"], type(error).__name__)
        return None


def _room_for(stage: StageNode) -> AbstractContextManager[object]:
    """Waits for the machine: whole for a stage that takes every core, else shared with others that don't."""
    return MACHINE.write_lock() if COMPUTE in stage.policy.tags else MACHINE.read_lock()


def dvc_command(stage: str, *, force: bool) -> list[str]:
    """The command that reproduces one stage, waiting for others that hold DVC's lock."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    return [*command, "--force"] if force else command


def _own_error(stage: str, lines: list[str]) -> str | None:
    """The stage's own line about what went wrong (`stage: ...`), before DVC's about the stage."""
    own = [line for line in lines if line.startswith(f"{stage}: ")]
    return own[-1] if own else next((line for line in reversed(lines) if line.startswith("ERROR")), None)


def _progress_of(stage: str) -> Callable[[str], None]:
    """A function that moves the stage's progress artifact (in percent) when a line says `step N of M`."""
    state: dict[str, Any] = {"id": None, "shown": -1.0, "again_at": 0.0}

    def show(line: str) -> None:
        found = _STEP.search(line)
        if found is None:
            return
        step, steps = (int(number.replace(",", "")) for number in found.groups())
        percent = round(100 * step / max(1, steps), 1)
        if percent <= state["shown"] or time.monotonic() < state["again_at"]:
            return
        state["shown"] = percent
        if state["id"] is None:
            made = state["id"] = _show(
                create_progress_artifact, progress=percent, key=f"progress-{stage}", description=line
            )
        else:
            made = _show(update_progress_artifact, artifact_id=state["id"], progress=percent, description=line)
        if made is None:
            state["again_at"] = time.monotonic() + AWAY_S

    return show


@task(name="register", task_run_name="register", tags=["registry"], retries=2, retry_delay_seconds=5)
def register_model(chain_run: str | None) -> None:
    """Makes the result an MLflow model version (once for the same bytes)."""
    log = get_run_logger()
    lines: list[str] = []

    def on_line(line: str) -> None:
        log.info(line)
        lines.append(line)
        if line.startswith("register | "):
            CONSOLE.info(line)

    chain = ["--chain-run", chain_run] if chain_run else []
    code = process.run([sys.executable, "-m", "tasks.register", *chain], on_line=on_line)
    if code != 0:
        raise StageFailed(_own_error("register", lines) or f"register ended with exit code {code}")
    _show(create_markdown_artifact, key="model", markdown=report.model_markdown(), description="the registered model")
