"""Commands that keep the house: secrets, backups, what may be thrown away, what somebody wants deleted."""

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
