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


@app.command()
def gc(
    remove: Annotated[bool, typer.Option("--remove/--dry-run", help="Remove it; without: only say what.")] = False,
    days: Annotated[float, typer.Option(min=0, help="Only what is older than so many days.")] = 7,
    clone: Annotated[
        list[Path] | None, typer.Option(help="Another folder that shares DVC's cache; may be given again.")
    ] = None,
) -> None:
    """Say what nobody needs any more, and its bytes: DVC's cache, old checkpoints, MLflow's deleted runs."""
    from fledgling.gc import collect_garbage

    typer.echo(collect_garbage(remove=remove, days=days, clones=tuple(clone or ())))


@app.command()
def forget(
    reviewer: Annotated[str | None, typer.Option(help="The name that the owner calls them by.")] = None,
    reply: Annotated[str | None, typer.Option(help="The id of a served reply: chatcmpl-...")] = None,
) -> None:
    """Delete a reviewer or a served reply, and say which published batches hold something of it."""
    from fledgling.forget import forget as forget_one

    typer.echo(forget_one(reviewer=reviewer, reply=reply))
