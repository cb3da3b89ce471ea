"""The flow `pipeline`: raw text to a registered model, of which it runs what DVC says is stale."""

from pathlib import Path
from typing import Literal

from prefect import flow

from flows import chain, graph
from flows.notice import tell
from tasks import profiles

AS_IT_IS = "as it is"
Profile = Literal["as it is", "laptop", "real", "small-gpu", "tinystories"]


# no time limit of its own: each stage has one (`meta` in dvc.yaml)
@flow(
    name="pipeline",
    description="Raw text to a registered model: runs what is stale.",
    task_runner=chain.RUNNER,
    on_failure=[tell],
    on_crashed=[tell],
)
def pipeline(profile: Profile = AS_IT_IS, data: str = "", force: bool = False, registered: bool = True) -> None:
    """Runs the stale stages of dvc.yaml in order, independent ones side by side.

    Args:
        profile: what is written into params.yaml first; "as it is": nothing.
        data: the folder that a profile such as `real` reads.
        force: runs every stage, stale or not.
        registered: makes the result an MLflow model version in the end.
    """
    with chain.this_run():
        if profile != AS_IT_IS:
            profiles.apply(profile, data=Path(data) if data else None)
        chain.reproduce(graph.read_chain(wait=True), force=force, registered=registered)
