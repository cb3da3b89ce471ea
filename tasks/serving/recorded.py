"""Served replies as rows of the review database: put in, read again, deleted when they are old."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from tasks.reviews.database import Database
from tasks.reviews.prompts import kept
from tasks.reviews.tables import ReplyVote, ServedReply
from tasks.serving.reply import Reply

FIELDS = tuple(field.name for field in fields(Reply))


def forget(database: Database, before: datetime) -> int:
    """Deletes the recorded replies of before a moment with their votes; returns how many. Review items stay."""
    old = select(ServedReply.id).where(ServedReply.created_at < before)
    with database.session() as session:
        session.execute(delete(ReplyVote).where(ReplyVote.reply_id.in_(old) | ReplyVote.other_reply_id.in_(old)))
        gone = session.scalars(delete(ServedReply).where(ServedReply.created_at < before).returning(ServedReply.id))
        return len(gone.all())


def replies_since(database: Database, since: datetime) -> list[Reply]:
    """The recorded replies from a moment on, the oldest first."""
    query = select(ServedReply).where(ServedReply.created_at >= since).order_by(ServedReply.created_at, ServedReply.id)
    with database.reading() as session:
        return [of_row(row) for row in session.scalars(query)]


def to_row(reply: Reply) -> ServedReply:
    """A reply as a row, its texts as every database takes them."""
    values: dict[str, Any] = {name: getattr(reply, name) for name in FIELDS}
    values["messages"] = [{key: kept(text) for key, text in message.items()} for message in reply.messages]
    values["settings"] = dict(reply.settings)
    values["reply"] = kept(reply.reply)
    values["conversation"] = None if reply.conversation is None else kept(reply.conversation)
    return ServedReply(**values)


def of_row(row: ServedReply) -> Reply:
    """The reply of a row."""
    values: dict[str, Any] = {name: getattr(row, name) for name in FIELDS}
    return Reply(**{**values, "messages": tuple(row.messages)})
