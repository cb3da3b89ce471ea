"""The command `fledgling`: each subcommand imports what it needs when it is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fledgling import export, keeping, review

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Raises a small language model from raw text to a registered model.",
)
app.add_typer(review.app, name="review")
app.add_typer(export.app, name="export")
app.add_typer(keeping.app)


def main() -> None:
    """Runs the command; a mistake of the user's is one line and a non-zero exit code."""
    from fledgling import logins
    from tasks.stage import UserError

    try:
        logins.lend()
        app()
    except UserError as error:
        sys.exit(f"fledgling: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def run(
    profile: Annotated[str | None, typer.Option(help="Write this profile into params.yaml first.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that the profile reads, such as `real`.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage, stale or not.")] = False,
) -> None:
    """Run the whole chain through the Prefect flow: raw text to a registered model."""
    from fledgling.run import run_chain

    run_chain(profile=profile, data=data, force=force)


@app.command()
def summary() -> None:
    """What the last run made, and how good it is."""
    from tasks import report

    typer.echo(report.summary())


@app.command()
def register() -> None:
    """Make the result of the chain an MLflow model version (what `run` does at its end)."""
    from tasks.register import register as register_result

    typer.echo(register_result(chain_run=None).line)


@app.command()
def promote(
    version: Annotated[str | None, typer.Argument(help="A number or an alias; without: candidate.")] = None,
    despite: Annotated[str, typer.Option(metavar="REASON", help="Why, though the gate does not say promote.")] = "",
) -> None:
    """Make a registered version the champion, and the champion the previous one."""
    from fledgling.release import promote as promote_version

    typer.echo(promote_version(version, despite=despite))


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it stands on the version that goes.")] = "",
) -> None:
    """Make the previous champion the champion again."""
    from fledgling.release import rollback as roll_back

    typer.echo(roll_back(reason=reason))


@app.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="The profile to switch to.")] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that the profile reads, such as `real`.")] = None,
) -> None:
    """List the profiles, or write one into params.yaml."""
    from tasks import profiles

    if name is None:
        typer.echo("\n".join(profiles.names()))
        return
    changed = profiles.apply(name, data=data)
    typer.echo(f"params.yaml: {', '.join(changed) if changed else 'nothing'} changed")


@app.command()
def accept_data() -> None:
    """Make the present data the version that later data is compared with (drift of lengths)."""
    from tasks.validate import accept

    typer.echo(f"wrote {accept()}")


@app.command()
def keep_curve() -> None:
    """Keep the present loss curve as its profile's: `dvc plots show` draws the profiles in one picture."""
    from tasks import comparison

    typer.echo(f"{comparison.KEPT}: the curve of profile '{comparison.keep()}' is the present one")


@app.command()
def keep_verdicts() -> None:
    """Keep what a judge behind an endpoint said as an immutable file: later runs replay it without the network."""
    from fledgling import verdicts

    typer.echo(verdicts.keep_verdicts())


@app.command()
def generate(
    prompt: Annotated[str, typer.Option(help="The text to go on from; with --task, what is asked.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="At most so many tokens.")] = 200,
    temperature: Annotated[float, typer.Option(min=0.0, help="0: always the likeliest token.")] = 0.7,
    task: Annotated[
        str | None,
        typer.Option(help="classification, summarization, translation or assistant: the reply of a fine-tuned model."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    model: Annotated[str | None, typer.Option(help="A registered version or alias; without: the workspace's.")] = None,
) -> None:
    """Print a continuation of the prompt, or with --task the reply to it, and nothing else."""
    from fledgling.generate import continuation, reply

    if task is None:
        told = continuation(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed, version=model)
    else:
        told = reply(prompt, task=task, max_tokens=max_tokens, temperature=temperature, seed=seed, version=model)
    typer.echo(told)


@app.command()
def compare(
    models: Annotated[
        list[str],
        typer.Argument(help="Two or more, the oldest first: base, finetuned, or a registered version or alias."),
    ],
    report: Annotated[Path | None, typer.Option(help="Write the whole page (HTML) to this file too.")] = None,
) -> None:
    """Have models answer the hold-out prompts, and print who is ahead by the accepting judge."""
    from fledgling.compare import compare_models

    typer.echo(compare_models(models, report=report), nl=False)


@app.command()
def trace(
    name: Annotated[
        str, typer.Argument(help="A registered version or alias, a batch of reviews, or the id of a served reply.")
    ] = "candidate",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, hashes whole.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute the hashes anew; exit 1 where one differs.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Write the whole page (HTML) to this file too.")] = None,
) -> None:
    """Print where a model, a batch or a reply comes from: release, runs, code, hashes, preferences, sources."""
    from fledgling.trace import trace as trace_way

    raise typer.Exit(trace_way(name, as_json=as_json, verify=verify, page=page))


@app.command()
def serve(
    model: Annotated[
        str, typer.Option(help="A registered version or alias, models:/fledgling@champion, or a model's folder.")
    ] = "champion",
    beside: Annotated[
        list[str] | None, typer.Option(help="One more, served to who names it; may be given again.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on; without: this machine alone.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: FLEDGLING_SERVE_PORT, or 8200.")] = None,
    candidate_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the conversations: answered by the alias candidate.")
    ] = None,
) -> None:
    """Serve a model over OpenAI's HTTP API, and the chat page, until Ctrl+C."""
    from apps.serve.server import serve as serve_model

    serve_model(model, beside=beside or (), host=host, port=port, candidate_share=candidate_share)


@app.command()
def chat(
    server: Annotated[
        str | None, typer.Option(help="Talk with a server, such as http://127.0.0.1:8200; key: FLEDGLING_SERVE_KEYS.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A version, an alias or a folder; without: the workspace's newest, or the server's first."),
    ] = None,
    system: Annotated[str, typer.Option(help="What the model is told first.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="0: always the likeliest token.")] = 0.7,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of an answer, at most.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same text.")] = None,
) -> None:
    """Talk with a model in the terminal; answers appear as they are made."""
    from fledgling.chat import chat as talk_with
    from fledgling.chat.talk import Manner

    talk_with(server, model, Manner(temperature=temperature, max_tokens=max_tokens, seed=seed), system=system)


@app.command()
def platform(
    check: Annotated[bool, typer.Option("--check", help="Start, wait until all is ready, stop.")] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="SERVICE", help="Become one service, as a container does; see docs/platform.md."),
    ] = None,
) -> None:
    """Start Prefect, MLflow, the review page and the champion's server on this machine, until Ctrl+C."""
    from fledgling.platform import become
    from fledgling.platform import serve as serve_all

    if only is None:
        serve_all(check=check)
    else:
        become(only)


@app.command()
def status(
    of: Annotated[str | None, typer.Option(help="prefect, mlflow, review, serve or worker; without: all.")] = None,
) -> None:
    """Say how each part of the platform is; exit 1 where one that was asked for is not well."""
    from fledgling.status import tell_status

    raise typer.Exit(tell_status(of))


@app.command()
def doctor() -> None:
    """Check versions, disk, ports, git and DVC, and say what to do."""
    from fledgling.doctor import examine

    raise typer.Exit(examine())


if __name__ == "__main__":
    main()
