"""The flows of a release: a person approves the evidence, the champion changes; and the way back."""

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.actions import read_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from pydantic import Field

from flows.notice import tell
from flows.retrying import unless_mistaken
from tasks.registry import approval
from tasks.registry import release as registry
from tasks.registry.approval import Question
from tasks.registry.release import Released

DEPLOYMENT = "release/release"
ROLLBACK_LIMIT_S = 3600  # it takes seconds

# MLflow's own errors are the cause of the line that is told of them
_at_the_registry = partial(
    task,
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=10,
    retry_condition_fn=unless_mistaken(lambda error: error.__cause__ is not None),
)


class Approval(RunInput):
    """The form on the run's page; the evidence stands above it."""

    decision: Literal["approve", "decline"]
    by: Annotated[str, Field(min_length=1, description="who decides")]
    comment: Annotated[str, Field(description="kept on the model version")] = ""


def once_more(flow: Any, flow_run: Any, state: Any) -> None:  # the names that Prefect calls a hook by
    """Starts a release anew whose process was killed, once; what was approved needs no second approval.

    A new run: the worker reports the end of the killed process after this, which would end the same run again.
    """
    if flow_run.parameters.get("approved_in") is None:
        start_release({**flow_run.parameters, "approved_in": str(flow_run.id)}, key=f"after {flow_run.id}")


@flow(
    name="release",
    description="Asks a person to approve a model version, and makes it the champion.",
    flow_run_name=lambda: f"release {flow_run.parameters['version'] or 'candidate'}",
    on_failure=[tell],
    on_crashed=[once_more, tell],
)
def release(version: str = "", approved_in: UUID | None = None) -> None:
    """Waits for the form of the run's page without a process of its own, then makes the version the champion.

    Args:
        version: a number or an alias; left empty: the candidate.
        approved_in: the killed run whose approval of the same version counts; none needs to be given by hand.
    """
    number = version_meant(version or None)
    answer = _answer(number, approved_in) or suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=evidence(number).evidence), key=_key(number)
    )
    get_run_logger().info("version %d: %s by %s; %s", number, answer.decision, answer.by, answer.comment or "-")
    if answer.decision == "approve":
        promote(number, by=answer.by)
    else:
        decline(number, answer)


@flow(
    name="rollback",
    description="Makes the previous champion the champion again.",
    timeout_seconds=ROLLBACK_LIMIT_S,
    on_failure=[tell],
    on_crashed=[tell],
)
def rollback(by: str, reason: str = "", leaving: int | None = None) -> None:
    """Moves the aliases back by one release.

    Args:
        by: who decides.
        reason: kept on the model version.
        leaving: the version that shall go; None: the champion of now.
    """
    roll_back(by, reason, leaving=leaving if leaving is not None else champion_now())


def start_release(parameters: dict[str, Any], *, key: str) -> None:
    """Starts a run of the deployment, once for the same key; not as a subflow, which could not be suspended."""
    run_deployment(DEPLOYMENT, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)


def _key(version: int) -> str:
    return f"version-{version}"  # an approval is of one version: an alias may move while a person thinks


def _answer(version: int, earlier: UUID | None) -> Approval | None:
    """What was approved in this run, which begins anew when it goes on, or in one that was killed."""
    key = keyset_from_base_key(f"suspended-{_key(version)}")["response"]
    for run in (None, earlier) if earlier else (None,):
        given = read_flow_run_input(key, flow_run_id=run)
        if given:
            return Approval.model_validate(given)
    return None


@_at_the_registry()
def version_meant(version: str | None) -> int:
    """The version's number."""
    return approval.version_meant(version)


@_at_the_registry()
def evidence(version: int) -> Question:
    """What a person is shown."""
    return approval.question(version)


@_at_the_registry()
def promote(version: int, *, by: str) -> None:
    """The champion; a move that was killed is finished."""
    _tell(registry.promote(str(version), by=by))


@_at_the_registry()
def decline(version: int, answer: Approval) -> None:
    """No alias moves; the version keeps who said no."""
    approval.decline(version, by=answer.by, comment=answer.comment)


@_at_the_registry()
def champion_now() -> int | None:
    """The version that a rollback would take back; None where there is none."""
    return approval.champion_now()


@_at_the_registry()
def roll_back(by: str, reason: str, *, leaving: int | None) -> None:
    """The previous champion; tried again, it goes no further back."""
    _tell(registry.rollback(by=by, reason=reason, leaving=leaving))


def _tell(released: Released) -> None:
    get_run_logger().info(released.line)
    emit_event(
        released.event,
        resource={
            "prefect.resource.id": f"fledgling.model.{released.name}",
            "prefect.resource.name": f"{released.name} version {released.version}",
        },
        payload={"name": released.name, "version": released.version, "previous": released.previous},
    )
