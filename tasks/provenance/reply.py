"""The way of a served reply: its record, what people said of it, and the way of the version that gave it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from tasks.provenance.version import trace_version
from tasks.provenance.way import Check, Reply, ReplyItem, ReplyVote, ReplyWay, VersionWay
from tasks.reviews import tables
from tasks.reviews.database import DEFAULT, Database, address, open_database
from tasks.reviews.served import items_of
from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ID = re.compile(r"(?:chat)?cmpl-[0-9a-f]+")


def is_reply(name: str) -> bool:
    """Whether a name is that of a served reply."""
    return _ID.fullmatch(name) is not None


def trace_reply(client: "MlflowClient | None", name: str) -> ReplyWay:
    """The way of a recorded reply, by its id. client: of the registry, None where there is none.

    Raises UserError where it is not in the review database: it was not recorded, or is older than is kept.
    """
    with _database() as database, database.reading() as session:
        row = session.get(tables.ServedReply, name)
        if row is None:
            raise UserError(
                f"{name}: no such reply in {database.place}; see serve.record.keep and .days in params.yaml"
            )
        reply, votes, items = _reply(row), tuple(_votes(session, name)), tuple(_items(session, name))
    version, missing = _version(client, reply)
    return ReplyWay(reply=reply, votes=votes, items=items, version=version, not_found=missing)


def verify_reply(way: ReplyWay) -> Check:
    """Whether the version holds the bytes that gave the reply."""
    what, wanted = f"model of {way.reply.id}", way.reply.model_md5
    if way.version is None:
        return Check(what=what, state="missing", detail="; ".join(way.not_found))
    found = way.version.model.model_md5
    told = f"version {way.version.model.version} is {found}"
    return Check(what=what, state="ok" if found == wanted else "differs", detail=f"{wanted}; {told}")


def _database() -> Database:
    """The review database that there is; none is made."""
    where = address()
    if where == DEFAULT and not Path(DEFAULT.removeprefix("sqlite:///")).exists():
        raise UserError(f"no reply was recorded here: there is no {DEFAULT.removeprefix('sqlite:///')}")
    return open_database(where)


def _reply(row: tables.ServedReply) -> Reply:
    return Reply(
        id=row.id, at=row.created_at.isoformat(timespec="seconds"), kind=row.kind, version=row.version,
        model_md5=row.model_md5, share=row.share, conversation=row.conversation, messages=tuple(row.messages),
        settings=row.settings, seed=row.seed, text=row.reply, finish_reason=row.finish_reason, guard=row.guard,
        prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens, latency_ms=row.latency_ms,
        first_token_ms=row.first_token_ms,
    )  # fmt: skip


def _votes(session: Session, name: str) -> list[ReplyVote]:
    vote = tables.ReplyVote
    query = select(vote).where(or_(vote.reply_id == name, vote.other_reply_id == name)).order_by(vote.id)
    return [_vote(row, name) for row in session.scalars(query)]


def _vote(row: tables.ReplyVote, name: str) -> ReplyVote:
    """A vote from this reply's side."""
    swapped = {"better": "worse", "worse": "better"}
    is_first = row.reply_id == name
    value = row.value if is_first else swapped.get(row.value, row.value)
    other = row.other_reply_id if is_first else row.reply_id
    return ReplyVote(at=row.created_at.isoformat(timespec="seconds"), value=value, other=other)


def _items(session: Session, name: str) -> list[ReplyItem]:
    return [_item(session, item) for item in items_of(session, name)]


def _item(session: Session, item: tables.Item) -> ReplyItem:
    done = session.scalar(
        select(func.count()).select_from(tables.Assignment)
        .where(tables.Assignment.item_id == item.id, tables.Assignment.done_at.is_not(None))
    )  # fmt: skip
    files = session.scalars(
        select(tables.Export.file)
        .join(tables.Exported, tables.Exported.export_id == tables.Export.id)
        .join(tables.Annotation, tables.Annotation.id == tables.Exported.annotation_id)
        .where(tables.Annotation.item_id == item.id)
    )
    return ReplyItem(
        item=item.id, kind=item.kind, batch=item.batch_id, said=dict(item.judge), decided=done or 0, file=files.first()
    )


def _version(client: "MlflowClient | None", reply: Reply) -> tuple[VersionWay | None, tuple[str, ...]]:
    """The way of the version that gave it, and what of it is not here."""
    if not reply.version.isdecimal():
        return None, (f"a version: it was served from the folder {reply.version}, model {reply.model_md5}",)
    if client is None:
        return None, (f"version {reply.version}: there is no registry here",)
    from mlflow.exceptions import MlflowException

    try:
        way = trace_version(client, int(reply.version))
    except MlflowException:
        return None, (f"version {reply.version}: not in this registry",)
    if way.model.model_md5 != reply.model_md5:
        found = way.model.model_md5
        return way, (f"the bytes that gave it: {reply.model_md5}; version {reply.version} is {found}",)
    return way, ()
