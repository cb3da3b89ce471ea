"""The flow `drift`: what was served lately beside what was accepted; beyond the parameters an event tells of it."""

from datetime import UTC, datetime, timedelta

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows.notice import tell
from flows.retrying import unless_mistaken
from tasks.gating.champion import read_answers, read_champion
from tasks.registry import watched
from tasks.reviews.database import Unavailable, open_database
from tasks.serving.drift import Drift, look
from tasks.serving.params import ServeParams
from tasks.serving.recorded import forget
from tasks.stage import load_params

EVENT = "fledgling.drift.alert"
LIMIT_S = 3600  # it takes seconds


@flow(
    name="drift",
    description="Compares what was served lately with what was accepted.",
    timeout_seconds=LIMIT_S,
    on_failure=[tell],
    on_crashed=[tell],
)
def drift() -> None:
    """Figures in MLflow, a table beside the run, and an event where one is beyond `serve.drift` of params.yaml."""
    found = compare()
    if found is None:
        return
    if found.alerts:
        _emit(found)
    create_markdown_artifact(
        key="drift", markdown=found.markdown, description="what was served beside what was accepted"
    )
    keep_figures(found)


@task(
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=10,
    retry_condition_fn=unless_mistaken(lambda error: isinstance(error, Unavailable)),
)
def compare() -> Drift | None:
    """What was found, None before the first champion; replies that are older than is kept are deleted too."""
    log, params, now = get_run_logger(), load_params(ServeParams, "serve"), datetime.now(UTC)
    with open_database() as database:
        if gone := forget(database, now - timedelta(days=params.record.days)):
            log.info("%d replies were older than %d days and are deleted", gone, params.record.days)
        if read_champion() is None:
            log.info("there is no champion yet, so nothing that was served can drift")
            return None
        found = look(database, params=params.drift, accepted=read_answers(), now=now)
    (log.warning if found.alerts else log.info)(found.line)
    return found


@task(persist_result=False, cache_policy=NO_CACHE, retries=3, retry_delay_seconds=30)
def keep_figures(found: Drift) -> None:
    """The figures in MLflow, one run for all of them."""
    watched.log_drift(found.metrics, at=found.at)


def _emit(found: Drift) -> None:
    emit_event(
        EVENT,
        resource={"prefect.resource.id": "fledgling.serve", "prefect.resource.name": "what is served"},
        payload={"alerts": list(found.alerts), "versions": dict(found.versions), "figures": found.metrics},
    )
