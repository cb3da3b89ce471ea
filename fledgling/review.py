"""`fledgling review`: the page, and what its owner does from the command line."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.reviews.kinds import Role, Values
    from tasks.reviews.tables import Item

app = typer.Typer(help="People's reviews: the page; batches out and in; reviewers.", no_args_is_help=False)

RUBRIC = Path("rubric.yaml")
NAME = Annotated[str, typer.Argument(help="What you call them; nobody else is told, and no file holds it.")]


@app.callback(invoke_without_command=True)
def page(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to listen on; without: this machine alone.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: FLEDGLING_REVIEW_PORT, or 8100.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the owner's page in a browser.")] = False,
) -> None:
    """Open the review page until Ctrl+C (without a subcommand)."""
    if context.invoked_subcommand is None:
        from apps.review.server import serve

        serve(host=host, port=port, open_browser=show)


@app.command()
def publish(
    name: Annotated[str | None, typer.Option(help="Of the batch and its files; without: the day and a hash.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="labelled (training prompts), judged or gated (hold-out); without: params.yaml's."),
    ] = None,
) -> None:
    """Make a batch of what the judge was least sure of."""
    from tasks.reviews import publishing
    from tasks.reviews.database import open_database
    from tasks.reviews.params import ReviewParams
    from tasks.stage import load_params

    params, origin = load_params(ReviewParams, "review").of(source), publishing.present_origin()
    with open_database() as database:
        made = publishing.publish(database, params=params, now=datetime.now(UTC), origin=origin, name=name)
    typer.echo(made.line)


@app.command()
def collect(
    batch: Annotated[
        str | None, typer.Option(help="This one alone; a file of it that is missing is made again.")
    ] = None,
    early: Annotated[bool, typer.Option("--early", help="Though it is not full; it is closed.")] = False,
) -> None:
    """Make files of full batches in data/feedback, for DVC and MLflow."""
    from tasks.registry import feedback
    from tasks.reviews.collecting import collect as collect_batches
    from tasks.reviews.database import open_database
    from tasks.reviews.params import ReviewParams
    from tasks.stage import UserError, load_params

    params, now = load_params(ReviewParams, "review"), datetime.now(UTC)
    if early and batch is None:
        raise UserError("--early needs --batch: which one shall be closed?")
    with open_database() as database:
        found = collect_batches(database, params=params, now=now, batch=batch, early=early)
        typer.echo("\n".join(one.line for one in found) or "no batch is full")
        sent = feedback.mirror(database, now=now)
    if sent:
        typer.echo(f"MLflow: {sent} assessments sent")
    if found:
        typer.echo("now: git add data/feedback, commit, and `dvc push` where there is a remote")


@app.command()
def invite(
    name: NAME,
    owner: Annotated[bool, typer.Option("--owner", help="They see the owner's page too.")] = False,
    simulated: Annotated[bool, typer.Option("--simulated", help="A script, no person: so its pseudonym says.")] = False,
) -> None:
    """Print a link that lets somebody in; a known name gets a new one, and may come again where it was revoked."""
    from sqlalchemy import select

    from apps.review.access import Gate
    from apps.review.settings import load_settings
    from tasks.reviews import reviewers
    from tasks.reviews.database import open_database
    from tasks.reviews.tables import Reviewer

    with open_database() as database, database.session() as session:
        found = session.scalar(select(Reviewer).where(Reviewer.name == reviewers.cleaned(name)))
        role: Role = "owner" if owner else "reviewer"
        now = datetime.now(UTC)
        person = (
            reviewers.admit(session, name) if found else reviewers.add(session, name, role, now, is_simulated=simulated)
        )
        person.role = "owner" if owner else person.role
        link = Gate(load_settings()).invite_link(person)
    typer.echo(link)


@app.command()
def revoke(name: NAME) -> None:
    """End somebody's invites and sessions; what they said stays."""
    from tasks.reviews import reviewers
    from tasks.reviews.database import open_database

    with open_database() as database, database.session() as session:
        person = reviewers.revoke(session, name)
        typer.echo(f"{person.name} ({person.pseudonym}) is out")


@app.command("reviewers")
def list_reviewers() -> None:
    """Who reviews, and how much they have done."""
    from collections import Counter

    from sqlalchemy import select

    from tasks.reviews import chains
    from tasks.reviews.database import open_database
    from tasks.reviews.tables import Reviewer

    with open_database() as database, database.reading() as session:
        done = Counter(one.reviewer_id for one in chains.live(session))
        for person in session.scalars(select(Reviewer).order_by(Reviewer.id)):
            state = "" if person.is_active else ", revoked"
            typer.echo(f"{person.name}: {person.pseudonym}, {person.role}, {done[person.id]} answers{state}")


@app.command()
def gold(
    item: Annotated[str, typer.Argument(help="As the owner's page names it: BATCH/12.")],
    answer: Annotated[str, typer.Argument(help="The right one of a choice: 1 or 2 as there, tie or both_bad.")],
) -> None:
    """Make a choice a gold item: its right decision is known, and it measures who decides it."""
    from tasks.reviews.database import open_database
    from tasks.reviews.gold import make_gold
    from tasks.reviews.tables import Item

    with open_database() as database, database.session() as session:
        make_gold(session, item, _winner(session.get(Item, item), answer))
    typer.echo(f"{item} is a gold item")


def _winner(item: "Item | None", answer: str) -> "Values":
    """The decision that a choice's answer, by its number from 1, is the right one."""
    places = [shown.generation_id for shown in item.shown] if item else []
    if answer.isdecimal() and 0 < int(answer) <= len(places):
        return {"winner": places[int(answer) - 1]}
    return {"winner": answer}


@app.command("export")
def export_batch(
    batch: Annotated[str, typer.Argument(help="The batch.")],
    folder: Annotated[Path, typer.Option(help="Where the files go.")] = Path("label-studio"),
    answers: Annotated[bool, typer.Option("--answers", help="With what was said so far.")] = False,
) -> None:
    """Write a batch as Label Studio's tasks: a file and a labelling configuration for each kind of item."""
    import json

    from tasks.judging.rubric import load_rubric
    from tasks.reviews import label_studio
    from tasks.reviews.database import open_database
    from tasks.stage import write_text

    rubric = load_rubric(RUBRIC)
    with open_database() as database, database.reading() as session:
        for project in label_studio.PROJECTS:
            tasks = label_studio.export_tasks(session, batch, project, answers=answers)
            if tasks:
                path = folder / f"{batch}.{project.name}.json"
                write_text(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
                write_text(folder / f"{project.name}.xml", project.config(rubric))
                typer.echo(f"{path}: {len(tasks)} tasks")


@app.command("import")
def import_answers(
    file: Annotated[Path, typer.Argument(help="Label Studio's export, as JSON, of tasks that came from here.")],
) -> None:
    """Keep the annotations of a Label Studio project as answers."""
    from tasks.judging.rubric import load_rubric
    from tasks.reviews import label_studio
    from tasks.reviews.database import open_database

    with open_database() as database:
        done = label_studio.import_tasks(database, file, rubric=load_rubric(RUBRIC), now=datetime.now(UTC))
    typer.echo(done.line)
