"""The flows of people's reviews: a batch is published, and collected as soon as it is full."""

from datetime import UTC, datetime
from functools import partial
from uuid import NAMESPACE_URL, uuid5

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows.notice import tell
from flows.retrying import unless_mistaken
from tasks.registry import feedback
from tasks.reviews import collecting, publishing
from tasks.reviews.database import Unavailable, open_database
from tasks.reviews.filing import Collected
from tasks.reviews.params import ReviewParams, Source
from tasks.stage import load_params

EVENT = "fledgling.feedback.collected"
LIMIT_S = 3600  # either takes seconds to a minute


@flow(
    name="publish-reviews",
    description="Makes a batch of judged answers for people to review.",
    timeout_seconds=LIMIT_S,
    on_failure=[tell],
    on_crashed=[tell],
)
def publish_reviews(name: str = "", source: Source | None = None) -> None:
    """Publishes what the judge was least sure of.

    Args:
        name: of the batch; left empty: the day and a hash.
        source: as in params.yaml; None: the one that stands there.
    """
    publish(name or None, source=source)


@flow(
    name="collect-reviews",
    description="Makes batch files of full batches, for DVC and MLflow.",
    timeout_seconds=LIMIT_S,
    on_failure=[tell],
    on_crashed=[tell],
)
def collect_reviews(batch: str = "", early: bool = False) -> None:
    """Collects every full batch, and what came late.

    Args:
        batch: that one alone; left empty: every full one.
        early: though it is not full.
    """
    collect(batch or None, early=early)
    mirror()


_at_the_database = partial(
    task,
    persist_result=False,
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=10,
    retry_condition_fn=unless_mistaken(lambda error: isinstance(error, Unavailable)),
)


@_at_the_database()
def publish(name: str | None, *, source: Source | None) -> None:
    """A batch, in one transaction."""
    params = load_params(ReviewParams, "review").of(source)
    with open_database() as database:
        made = publishing.publish(
            database, params=params, now=datetime.now(UTC), origin=publishing.present_origin(), name=name
        )
    get_run_logger().info(made.line)


@_at_the_database()
def collect(batch: str | None, *, early: bool) -> None:
    """The batch files; what a killed run left unfinished is finished."""
    log = get_run_logger()
    params = load_params(ReviewParams, "review")
    with open_database() as database:
        found = collecting.collect(database, params=params, now=datetime.now(UTC), batch=batch, early=early)
    for one in found:
        log.info(one.line)
        _emit(one)
    if not found:
        log.info("no batch is full")


def _emit(one: Collected) -> None:
    """Tells of a batch file that was written; told twice, it is one event."""
    batch = one.manifest.batch
    emit_event(
        EVENT,
        resource={"prefect.resource.id": f"fledgling.feedback.{batch}", "prefect.resource.name": batch},
        payload={"batch": batch, "file": str(one.file), "sha256": one.manifest.sha256, "rows": one.manifest.rows},
        id=uuid5(NAMESPACE_URL, f"{EVENT}/{one.manifest.sha256}"),
    )


@task(persist_result=False, cache_policy=NO_CACHE, retries=3, retry_delay_seconds=30)
def mirror() -> None:
    """The decisions as feedback in MLflow, those that are not there yet."""
    with open_database() as database:
        sent = feedback.mirror(database, now=datetime.now(UTC))
    get_run_logger().info("MLflow: %d assessments sent", sent)
