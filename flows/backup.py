"""The flow `backup`: databases, artefacts, DVC's bytes, champion and batches, copied into one more folder."""

from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.notice import tell
from tasks.keeping.backup import stamped


@flow(
    name="backup",
    description="Copies the platform into a new folder, while it runs.",
    on_failure=[tell],
    on_crashed=[tell],
)
def backup(folder: str = "var/backups", keep: int = 7) -> str:
    """Makes one backup inside a folder, named by the moment, and leaves the newest of such ones.

    Returns its path. `fledgling restore` puts it back into an empty platform.

    Args:
        folder: where the backups are.
        keep: how many of them stay.
    """
    made, told = copy(folder, keep)
    create_markdown_artifact(key="backup", markdown=told, description="what was copied, and what not")
    return made


@task(persist_result=False, cache_policy=NO_CACHE)
def copy(folder: str, keep: int) -> tuple[str, str]:
    """The new folder, and what is in it."""
    made = stamped(Path(folder), keep=keep)
    get_run_logger().info(made.line)
    return str(made.folder), made.line
