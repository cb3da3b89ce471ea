"""The tables of the review database (SQLAlchemy 2.0). What changes them: the migrations beside this file.

Annotations are append-only: an undo or a second opinion is a row of its own that supersedes another, and triggers
of the database refuse an UPDATE or a DELETE.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from tasks.reviews.kinds import KINDS, Purpose, Values

ORDINARY_SLOTS = ("1", "2")  # the first opinion and, of some items, a second one
SERVED = "served"  # the source of batches that grow by what the chat sends
_WAITS = text("done_at IS NULL")
_IS_SET_ASIDE = text("set_aside_at IS NOT NULL")
_IS_GOLD = text("gold IS NOT NULL")


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC, aware on both databases (SQLite itself knows no time zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """Base of all tables; constraints have names, so that a migration can change them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcTime,
        Values: JSON,
        list[str]: JSON,
        list[Values]: JSON,
    }


class Prompt(Table):
    """What was asked. cluster: the first prompt that it is a near copy of (its own id where there is none)."""

    __tablename__ = "prompts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))  # story, summarization, ...: tasks.judging.records.Item.kind
    text: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text, default="")
    cluster: Mapped[str] = mapped_column(String(64), index=True)
    split: Mapped[str] = mapped_column(String(32))
    added_at: Mapped[datetime]


class Generation(Table):
    """An answer and where it comes from. No reviewer is shown more than its text."""

    __tablename__ = "generations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    prompt_id: Mapped[str] = mapped_column(ForeignKey("prompts.id"), index=True)
    judged_item: Mapped[str] = mapped_column(String(64))  # tasks.judging.records.Item.id
    text: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(64))  # base, finetuned, aligned, ...
    model_version: Mapped[str] = mapped_column(String(64), default="")  # registered version or hash, where it is known
    decoding: Mapped[Values]
    mlflow_run: Mapped[str] = mapped_column(String(64), default="")

    prompt: Mapped[Prompt] = relationship()


class Batch(Table):
    """Items published together. quota: ordinary assignments (neither gold nor repeats) that make it full."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # the stem of data/feedback/<id>.jsonl
    source: Mapped[str] = mapped_column(String(64))  # labelled, judged, gated, label-studio, served
    settings: Mapped[Values]  # the parameters that it was published with
    quota: Mapped[int]
    published_at: Mapped[datetime]
    full_told_at: Mapped[datetime | None]  # when Prefect was told that the quota is met
    closed_at: Mapped[datetime | None]  # collected: nothing of it is handed out any more

    items: Mapped[list["Item"]] = relationship(back_populates="batch", order_by="Item.position")


class Item(Table):
    """One decision to make. A gold item's right decision is known: {"winner": generation id}, or scores by axis."""

    __tablename__ = "items"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)  # <batch>/<number>
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"))
    position: Mapped[int]  # handed out from the lowest
    kind: Mapped[str] = mapped_column(String(16))
    prompt_id: Mapped[str] = mapped_column(ForeignKey("prompts.id"))
    gold: Mapped[Values | None] = mapped_column(JSON(none_as_null=True))
    judge: Mapped[Values]  # what a judge said, for the agreement: {"judge": name, "winner" | "scores" | "tiers": ...}
    set_aside_at: Mapped[datetime | None]  # skipped too often

    batch: Mapped[Batch] = relationship(back_populates="items")
    prompt: Mapped[Prompt] = relationship()
    shown: Mapped[list["Shown"]] = relationship(order_by="Shown.place")

    __table_args__ = (
        UniqueConstraint("batch_id", "position"),
        Index("ix_items_set_aside", "batch_id", sqlite_where=_IS_SET_ASIDE, postgresql_where=_IS_SET_ASIDE),
        Index("ix_items_gold", "batch_id", "position", sqlite_where=_IS_GOLD, postgresql_where=_IS_GOLD),
        CheckConstraint(f"kind IN ({', '.join(map(repr, KINDS))})", name="kind"),
    )


class Shown(Table):
    """An answer of an item, in the item's own order; each reviewer sees them in an order of their own."""

    __tablename__ = "shown"

    item_id: Mapped[str] = mapped_column(ForeignKey("items.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)  # from 0
    generation_id: Mapped[str] = mapped_column(ForeignKey("generations.id"))

    generation: Mapped[Generation] = relationship()

    __table_args__ = (UniqueConstraint("item_id", "generation_id"),)


class Reviewer(Table):
    """A person, under a pseudonym outside this table. name: what the owner calls them; never exported."""

    __tablename__ = "reviewers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    pseudonym: Mapped[str] = mapped_column(String(40), unique=True)
    role: Mapped[str] = mapped_column(String(16), default="reviewer")
    session_version: Mapped[int] = mapped_column(default=0)  # one more ends every invite and cookie of before
    is_active: Mapped[bool] = mapped_column(default=True)
    added_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("role IN ('reviewer', 'owner')", name="role"),)


def _batch_of_item(row: DefaultExecutionContext) -> Any:
    """An assignment's batch is that of its item, looked up where it isn't given."""
    item_id = row.get_current_parameters()["item_id"]  # type: ignore[no-untyped-call]
    return row.connection.scalar(select(Item.batch_id).where(Item.id == item_id))


class Assignment(Table):
    """A decision wanted of somebody: an item's slot, free, leased to a reviewer until a moment, or done.

    slot: "1", "2" (a second opinion), "gold:<reviewer id>", "again:<reviewer id>" (the sides swapped). That (item,
    slot) is unique is what keeps two processes from making the same one; that (item, reviewer, is_again) is unique
    keeps the second opinion from being the first one's. id: handed out from the lowest. batch_id: the item's, here
    for the indexes that every request goes by.
    """

    __tablename__ = "assignments"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id"))
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), default=_batch_of_item)
    slot: Mapped[str] = mapped_column(String(40))
    is_again: Mapped[bool] = mapped_column(default=False)
    reviewer_id: Mapped[int | None] = mapped_column(ForeignKey("reviewers.id"))
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]

    item: Mapped[Item] = relationship()

    @property
    def purpose(self) -> Purpose:
        """What it is for: a decision of the batch, or a look at the reviewer (gold, again)."""
        if self.slot in ORDINARY_SLOTS:
            return "ordinary"
        return "again" if self.is_again else "gold"

    __table_args__ = (
        UniqueConstraint("item_id", "slot"),
        UniqueConstraint("item_id", "reviewer_id", "is_again"),
        Index("ix_assignments_reviewer_id_done_at", "reviewer_id", "done_at"),
        Index("ix_assignments_batch_id_slot_done_at", "batch_id", "slot", "done_at"),
        Index("ix_assignments_waiting", "batch_id", "id", sqlite_where=_WAITS, postgresql_where=_WAITS),
    )


class Annotation(Table):
    """What a reviewer did with an assignment; append-only. The one in force is the last of its chain.

    decision: of an answer, in terms of generation ids (tasks.reviews.decisions); of a skip {"reason": ...}. sides:
    the generation ids in the order in which they were shown. nonce: the client's; a resend has the same.
    """

    __tablename__ = "annotations"

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), index=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id"), index=True)
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    action: Mapped[str] = mapped_column(String(16))
    decision: Mapped[Values]
    sides: Mapped[list[str]]
    milliseconds: Mapped[int]
    page_version: Mapped[str] = mapped_column(String(40))
    nonce: Mapped[str] = mapped_column(String(64), unique=True)
    supersedes: Mapped[int | None] = mapped_column(unique=True)
    at: Mapped[datetime]

    assignment: Mapped[Assignment] = relationship()
    item: Mapped[Item] = relationship()
    reviewer: Mapped[Reviewer] = relationship()

    __table_args__ = (
        ForeignKeyConstraint(["supersedes"], ["annotations.id"]),
        CheckConstraint("action IN ('answer', 'skip', 'undo')", name="action"),
        Index("ix_annotations_reviewer_id_id", "reviewer_id", "id"),
    )


class Export(Table):
    """A batch file. written_at: None until the file lies in data/feedback; a killed collection is ended by the next."""

    __tablename__ = "exports"

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"))
    number: Mapped[int]  # 1, and more where answers came after the first collection
    file: Mapped[str] = mapped_column(String(200), unique=True)
    manifest: Mapped[Values]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    written_at: Mapped[datetime | None]
    mirrored_at: Mapped[datetime | None]  # the decisions are feedback in MLflow

    __table_args__ = (UniqueConstraint("batch_id", "number"),)


class Exported(Table):
    """That an annotation is in a batch file: in exactly one, since it is the key here."""

    __tablename__ = "exported"

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)
    export_id: Mapped[int] = mapped_column(ForeignKey("exports.id"), index=True)


class ServedReply(Table):
    """A reply that was served, as tasks.serving.reply.Reply tells of it; deleted after `serve.record.days`."""

    __tablename__ = "replies"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    version: Mapped[str] = mapped_column(String(200))
    model_md5: Mapped[str] = mapped_column(String(64))
    share: Mapped[str] = mapped_column(String(16))
    conversation: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[Values]]
    settings: Mapped[Values]
    reply: Mapped[str] = mapped_column(Text)
    finish_reason: Mapped[str] = mapped_column(String(32))
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_ms: Mapped[float]
    first_token_ms: Mapped[float | None]
    guard: Mapped[str | None] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)


class ReplyVote(Table):
    """What somebody in the chat said of a reply, alone (up, down) or beside another one; the last one holds."""

    __tablename__ = "votes"

    id: Mapped[int] = mapped_column(primary_key=True)
    reply_id: Mapped[str] = mapped_column(ForeignKey("replies.id"), index=True)
    other_reply_id: Mapped[str | None] = mapped_column(ForeignKey("replies.id"), index=True)
    value: Mapped[str] = mapped_column(String(16))
    conversation: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("value IN ('up', 'down', 'better', 'worse', 'tie')", name="value"),)
