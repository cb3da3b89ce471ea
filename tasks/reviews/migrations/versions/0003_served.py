"""What was served, and what people in the chat said of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _replies()
    _votes()


def _replies() -> None:
    op.create_table(
        "replies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("model_md5", sa.String(length=64), nullable=False),
        sa.Column("share", sa.String(length=16), nullable=False),
        sa.Column("conversation", sa.Text()),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.String(length=32), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("first_token_ms", sa.Float()),
        sa.Column("guard", sa.Text()),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_replies"),
    )
    op.create_index("ix_replies_created_at", "replies", ["created_at"])


def _votes() -> None:
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reply_id", sa.String(length=64), nullable=False),
        sa.Column("other_reply_id", sa.String(length=64)),
        sa.Column("value", sa.String(length=16), nullable=False),
        sa.Column("conversation", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("value IN ('up', 'down', 'better', 'worse', 'tie')", name="ck_votes_value"),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name="fk_votes_reply_id_replies"),
        sa.ForeignKeyConstraint(["other_reply_id"], ["replies.id"], name="fk_votes_other_reply_id_replies"),
        sa.PrimaryKeyConstraint("id", name="pk_votes"),
    )
    op.create_index("ix_votes_reply_id", "votes", ["reply_id"])
    op.create_index("ix_votes_other_reply_id", "votes", ["other_reply_id"])
