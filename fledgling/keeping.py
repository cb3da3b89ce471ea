"""Commands that keep the house: secrets, backups, what may be thrown away, what somebody wants deleted."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init_env(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="In containers the worker with a GPU, not the one without.")
    ] = False,
) -> None:
    """Write .env with generated secrets, for docker compose and `make platform`; an existing one stays."""
    from fledgling.init_env import init_env as write_env

    typer.echo(write_env(gpu=gpu))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    inside: Annotated[bool, typer.Option("--inside", help="Make it in DIR, named by the moment.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="With --inside: keep so many of the newest; without: all.")
    ] = None,
) -> None:
    """Copy databases, artefacts, DVC's bytes, champion and batches into a folder, also while the platform runs."""
    from fledgling.backup import back_up_into

    typer.echo(back_up_into(folder, inside=inside, keep=keep))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `fledgling backup` made.")],
) -> None:
    """Put a backup back into an empty platform: a fresh clone, empty databases, nothing running."""
    from fledgling.backup import restore_from

    typer.echo(restore_from(folder))
