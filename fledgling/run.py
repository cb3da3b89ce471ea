"""`fledgling run`: the chain from the terminal, with a warning before and a summary after."""

import time
from pathlib import Path

import typer

from tasks import profiles, report
from tasks.stage import UserError
from tasks.workspace import is_dirty, is_registered, uses_git


def run_chain(*, profile: str | None, data: Path | None, force: bool) -> None:
    """Runs what is stale and prints what was made; says so at once where nothing is."""
    from flows.graph import read_chain
    from flows.lock import one_run

    started = time.monotonic()
    if profile is None and data is not None:
        raise UserError("--data is for a profile that reads a folder, such as --profile real")
    with one_run("fledgling run", tell=typer.echo):  # under another run no parameter changes, and DVC tells nothing
        changed = profiles.apply(profile, data=data) if profile is not None else []
        chain = read_chain(wait=True)
    if changed:
        typer.echo(f"profile {profile}: params.yaml changed in {', '.join(changed)}")
    if not uses_git():
        typer.echo("warning: no git repository here; the chain runs, but the model is bound to no commit (`git init`)")
    elif is_dirty():
        typer.echo("warning: uncommitted changes; the model will carry the tag 'dirty'")
    if not force and not chain.stale and is_registered():
        typer.echo(report.summary())
        typer.echo(f"Everything is up to date ({time.monotonic() - started:.0f} s); nothing was started.")
        return
    from flows.local import run_pipeline

    stages = chain.to_run(force=force)
    typer.echo(
        f"{len(stages)} of {len(chain.stages)} stages to run: {', '.join(stage.name for stage in stages) or '-'}"
    )
    try:
        run_pipeline(force=force)
    except UserError:
        if not read_chain().stale:
            typer.echo("All stages are done (`fledgling summary`); `fledgling register` makes the model version.")
        raise
    typer.echo(report.summary())
    typer.echo(f"Done in {time.monotonic() - started:.0f} s.")
