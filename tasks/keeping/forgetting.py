"""A reviewer or a served reply, deleted on request; and what of it is published already and therefore stays.

What no batch file holds is deleted. A batch file is immutable and models learnt from it: what it holds stays in the
database too, so that the file can be written again with the same bytes.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.orm import Session

from tasks.reviews import reviewers
from tasks.reviews.database import Database
from tasks.reviews.served import generation_id, items_of
from tasks.reviews.tables import (
    ORDINARY_SLOTS,
    Annotation,
    Assignment,
    Export,
    Exported,
    Generation,
    Item,
    Prompt,
    ReplyVote,
    Reviewer,
    ServedReply,
    Shown,
)
from tasks.stage import UserError


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was deleted, in words, and the batch files that still hold something of it."""

    deleted: str
    published: tuple[str, ...]

    @property
    def line(self) -> str:
        """For people: what is gone, and what the published batches mean."""
        if not self.published:
            return f"{self.deleted}\nno batch file holds anything of it"
        files = ", ".join(f"data/feedback/{file}" for file in self.published)
        return (
            f"{self.deleted}\npublished before, and unchanged: {files}. A version that learnt from one says so "
            f"(`fledgling trace VERSION`). For later models to learn from it no more: remove the file, its .dvc and "
            f"its manifest, commit, and run the chain; backups and git's history hold it on"
        )


def forget_reviewer(database: Database, name: str) -> Forgotten:
    """Deletes a reviewer's name, way in and unpublished answers; items that they answered wait for another one.

    The pseudonym stays where a batch file has it, and nothing leads from it to the person. Raises UserError where
    there is no such reviewer.
    """
    with database.session() as session:
        person = reviewers.by_name(session, name)
        pseudonym = person.pseudonym
        published = _files(session, Annotation.reviewer_id == person.id)
        answers = _delete_answers(session, database, person)
        session.flush()
        if published:
            person.name, person.is_active = f"forgotten-{secrets.token_hex(8)}", False
            person.session_version += 1
        else:
            session.delete(person)
    kept = f"their pseudonym {pseudonym} stays, without a name" if published else f"{pseudonym} is gone too"
    told = f"the reviewer is deleted: name, way in, {answers} unpublished answers; {kept}"
    return Forgotten(deleted=told, published=published)


def forget_reply(database: Database, reply: str) -> Forgotten:
    """Deletes a served reply: its record, votes, traces in MLflow, and the items that no batch file holds.

    Raises UserError where there is no such reply, and where MLflow is away: then nothing was deleted.
    """
    with database.reading() as session:
        if session.get(ServedReply, reply) is None and session.get(Generation, generation_id(reply)) is None:
            raise UserError(f"there is no served reply '{reply}'; its id is the `id` of the answer (chatcmpl-...)")
    traces = _delete_traces(reply)
    with database.session() as session:
        items = items_of(session, reply)
        published = _files(session, Annotation.item_id.in_([item.id for item in items]))
        gone = [item for item in items if not _is_published(session, item)]
        _delete_items(session, database, gone)
        votes = _delete_votes(session, reply)
        session.execute(delete(ServedReply).where(ServedReply.id == reply))
        _delete_generation(session, generation_id(reply))
    told = f"reply {reply} is deleted: its record, {votes} votes, {len(gone)} review items, {traces} traces"
    return Forgotten(deleted=told, published=published)


def _files(session: Session, of: ColumnElement[bool]) -> tuple[str, ...]:
    """The batch files that hold an annotation of these."""
    query = select(Export.file).join(Exported).join(Annotation, Annotation.id == Exported.annotation_id).where(of)
    return tuple(session.scalars(query.distinct().order_by(Export.file)))


def _is_published(session: Session, item: Item) -> bool:
    found = exists().where(Exported.annotation_id == Annotation.id, Annotation.item_id == item.id)
    return bool(session.scalar(select(found)))


def _delete_answers(session: Session, database: Database, person: Reviewer) -> int:
    """Deletes what a person did and no file holds; the assignments of it wait for somebody else. Returns how many."""
    own = Annotation.reviewer_id == person.id
    held = select(Annotation.assignment_id).join(Exported, Exported.annotation_id == Annotation.id).where(own)
    ids = session.scalars(select(Annotation.id).where(own, Annotation.assignment_id.not_in(held))).all()
    _delete_annotations(session, database, ids)
    left = (Assignment.reviewer_id == person.id, Assignment.id.not_in(held))
    session.execute(delete(Assignment).where(*left, Assignment.slot.not_in(ORDINARY_SLOTS)))
    session.execute(update(Assignment).where(*left).values(reviewer_id=None, lease_until=None, done_at=None))
    return len(ids)


def _delete_items(session: Session, database: Database, items: Sequence[Item]) -> None:
    ids = [item.id for item in items]
    _delete_annotations(
        session, database, session.scalars(select(Annotation.id).where(Annotation.item_id.in_(ids))).all()
    )
    for table in (Assignment, Shown):
        session.execute(delete(table).where(table.item_id.in_(ids)))
    session.execute(delete(Item).where(Item.id.in_(ids)))


def _delete_votes(session: Session, reply: str) -> int:
    said = (ReplyVote.reply_id == reply) | (ReplyVote.other_reply_id == reply)
    return len(session.scalars(delete(ReplyVote).where(said).returning(ReplyVote.id)).all())


def _delete_generation(session: Session, name: str) -> None:
    """Deletes an answer's text, and its prompt's, where nothing shows them any more."""
    generation = session.get(Generation, name)
    if generation is None or session.scalar(select(exists().where(Shown.generation_id == name))):
        return
    prompt = generation.prompt_id
    session.delete(generation)
    session.flush()
    used = exists().where(Generation.prompt_id == prompt), exists().where(Item.prompt_id == prompt)
    if not any(session.scalar(select(one)) for one in used):
        session.execute(delete(Prompt).where(Prompt.id == prompt))


def _delete_annotations(session: Session, database: Database, ids: Sequence[int]) -> None:
    with _deletable(session, database):
        session.execute(delete(Annotation).where(Annotation.id.in_(ids)))


@contextlib.contextmanager
def _deletable(session: Session, database: Database) -> Iterator[None]:
    """Lifts what keeps annotations append-only, within the transaction of the session and nowhere else."""
    connection = session.connection()
    if database.is_sqlite:
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'annotations_no_delete'")
        lift, put_back = "DROP TRIGGER annotations_no_delete", str(made.scalar_one())
    else:
        change = "ALTER TABLE annotations {} TRIGGER annotations_append_only_row"
        lift, put_back = change.format("DISABLE"), change.format("ENABLE")
    connection.exec_driver_sql(lift)
    yield
    connection.exec_driver_sql(put_back)


def _delete_traces(reply: str) -> int:
    """Deletes what MLflow was sent of the reply; returns how many traces, 0 where there is no MLflow yet."""
    from tasks.registry import store
    from tasks.registry.traces import find_traces
    from tasks.registry.versions import in_one_line

    if not store.is_there():
        return 0
    with in_one_line():
        client = store.connect()
        experiment = store.experiment_id(client)
        found = find_traces(client, experiment, tag="reply", value=reply, most=100)
        if found:
            client.delete_traces(experiment, trace_ids=[trace.info.trace_id for trace in found])
    return len(found)
