"""The flow `pipeline`: raw text to a registered model, of which it runs what DVC says is stale."""

from pathlib import Path
from typing import Literal

from prefect import flow

from flows import chain, graph
from flows.notice import tell
from tasks import profiles

Profile = Literal["laptop", "real", "small-gpu", "tinystories"]


# no time limit of its own: each stage has one (`meta` in dvc.yaml)
@flow(
    name="pipeline",
    description="Raw text to a registered model: runs what is stale.",
    task_runner=chain.RUNNER,
    on_failure=[tell],
    on_crashed=[tell],
)
def pipeline(
    profile: Profile | None = None, data: str | None = None, force: bool = False, registered: bool = True
) -> None:
    """Runs the stale stages of dvc.yaml in order, independent ones side by side.

    profile: the overlay to write into params.yaml first (None: leave it as it is). data: the folder that a profile
    such as `real` reads. force: run every stage, stale or not. registered: whether the result becomes an MLflow model
    version at the end.
    """
    with chain.this_run():
        if profile is not None:
            profiles.apply(profile, data=Path(data) if data else None)
        chain.reproduce(graph.read_chain(wait=True), force=force, registered=registered)
