"""The flow `improve`: what a collected batch made stale is made anew, and stands at the gate."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from flows import chain, graph
from flows.notice import tell
from flows.release import promote, start_release
from tasks import report, workspace
from tasks.gating.params import GateParams
from tasks.registry.gated import DECISION, TOLD
from tasks.stage import load_params


@flow(
    name="improve",
    description="After a collected batch: what it made stale, then the gate.",
    task_runner=chain.RUNNER,
    on_failure=[tell],
    on_crashed=[tell],
)
def improve(batch: str = "") -> None:
    """Runs the stale stages and registers the result; where the gate says `promote`, a release begins.

    With `gate.automatic` of params.yaml the version becomes the champion at once, else the flow `release` asks for it.

    Args:
        batch: the one that was collected, for the log; what is stale is DVC's to say.
    """
    log = get_run_logger()
    with chain.this_run():
        found = graph.read_chain(wait=True)
        if not found.stale and workspace.is_registered():
            log.info("%s made nothing stale: no stage was run", f"batch {batch}" if batch else "nothing new")
            return
        stages = ", ".join(stage.name for stage in found.to_run())
        log.info("%d of %d stages to run: %s", len(found.to_run()), len(found.stages), stages or "-")
        chain.reproduce(found)
        version, told = workspace.registered()["version"], report.read_json(DECISION)
    create_markdown_artifact(key="gate", markdown=TOLD.read_text(encoding="utf-8"), description="the gate's decision")
    _emit(version, told)
    log.info("the gate says '%s' of version %d: %s", told["decision"], version, "; ".join(told["reasons"]))
    if told["decision"] == "promote":
        _release(version, over=told["champion"])


def _release(version: int, *, over: str) -> None:
    if load_params(GateParams, "gate").automatic:
        promote(version, by="improve (gate.automatic)")
    else:
        start_release({"version": str(version)}, key=f"version {version} over {over}")


def _emit(version: int, told: dict[str, object]) -> None:
    emit_event(
        "fledgling.gate.decided",
        resource={"prefect.resource.id": f"fledgling.gate.{version}", "prefect.resource.name": f"version {version}"},
        payload={"version": version, **{key: told[key] for key in ("decision", "reasons", "champion")}},
    )
