"""The tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _prompts()
    _generations()
    _batches()
    _items()
    _shown()
    _reviewers()
    _assignments()
    _annotations()
    _exports()
    _exported()


def _prompts() -> None:
    op.create_table(
        "prompts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("cluster", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=32), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompts"),
    )
    op.create_index("ix_prompts_cluster", "prompts", ["cluster"])


def _generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("prompt_id", sa.String(length=64), nullable=False),
        sa.Column("judged_item", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("decoding", sa.JSON(), nullable=False),
        sa.Column("mlflow_run", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_generations_prompt_id_prompts"),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
    )
    op.create_index("ix_generations_prompt_id", "generations", ["prompt_id"])


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("published_at", TIME, nullable=False),
        sa.Column("full_told_at", TIME),
        sa.Column("closed_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )


def _items() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.String(length=64), nullable=False),
        sa.Column("gold", sa.JSON(none_as_null=True)),
        sa.Column("judge", sa.JSON(), nullable=False),
        sa.Column("set_aside_at", TIME),
        sa.CheckConstraint("kind IN ('choice', 'ranking', 'rating', 'correction')", name="ck_items_kind"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_items_batch_id_batches"),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name="fk_items_prompt_id_prompts"),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("batch_id", "position", name="uq_items_batch_id_position"),
    )
    _partial_index("ix_items_set_aside", "items", ["batch_id"], "set_aside_at IS NOT NULL")
    _partial_index("ix_items_gold", "items", ["batch_id", "position"], "gold IS NOT NULL")


def _shown() -> None:
    op.create_table(
        "shown",
        sa.Column("item_id", sa.String(length=80), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("generation_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name="fk_shown_generation_id_generations"),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_shown_item_id_items"),
        sa.PrimaryKeyConstraint("item_id", "place", name="pk_shown"),
        sa.UniqueConstraint("item_id", "generation_id", name="uq_shown_item_id_generation_id"),
    )


def _reviewers() -> None:
    op.create_table(
        "reviewers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("pseudonym", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("session_version", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.CheckConstraint("role IN ('reviewer', 'owner')", name="ck_reviewers_role"),
        sa.PrimaryKeyConstraint("id", name="pk_reviewers"),
        sa.UniqueConstraint("name", name="uq_reviewers_name"),
        sa.UniqueConstraint("pseudonym", name="uq_reviewers_pseudonym"),
    )


def _assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=80), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=40), nullable=False),
        sa.Column("is_again", sa.Boolean(), nullable=False),
        sa.Column("reviewer_id", sa.Integer()),
        sa.Column("lease_until", TIME),
        sa.Column("done_at", TIME),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_assignments_item_id_items"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_assignments_batch_id_batches"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewers.id"], name="fk_assignments_reviewer_id_reviewers"),
        sa.PrimaryKeyConstraint("id", name="pk_assignments"),
        sa.UniqueConstraint("item_id", "reviewer_id", "is_again", name="uq_assignments_item_id_reviewer_id_is_again"),
        sa.UniqueConstraint("item_id", "slot", name="uq_assignments_item_id_slot"),
    )
    op.create_index("ix_assignments_reviewer_id_done_at", "assignments", ["reviewer_id", "done_at"])
    op.create_index("ix_assignments_batch_id_slot_done_at", "assignments", ["batch_id", "slot", "done_at"])
    _partial_index("ix_assignments_waiting", "assignments", ["batch_id", "id"], "done_at IS NULL")


def _annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=80), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("sides", sa.JSON(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("page_version", sa.String(length=40), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("supersedes", sa.Integer()),
        sa.Column("at", TIME, nullable=False),
        sa.CheckConstraint("action IN ('answer', 'skip', 'undo')", name="ck_annotations_action"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_annotations_assignment_id_assignments"),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_annotations_item_id_items"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewers.id"], name="fk_annotations_reviewer_id_reviewers"),
        sa.ForeignKeyConstraint(["supersedes"], ["annotations.id"], name="fk_annotations_supersedes_annotations"),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
        sa.UniqueConstraint("nonce", name="uq_annotations_nonce"),
        sa.UniqueConstraint("supersedes", name="uq_annotations_supersedes"),
    )
    op.create_index("ix_annotations_assignment_id", "annotations", ["assignment_id"])
    op.create_index("ix_annotations_item_id", "annotations", ["item_id"])
    op.create_index("ix_annotations_reviewer_id_id", "annotations", ["reviewer_id", "id"])


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("file", sa.String(length=200), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("written_at", TIME),
        sa.Column("mirrored_at", TIME),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_exports_batch_id_batches"),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
        sa.UniqueConstraint("batch_id", "number", name="uq_exports_batch_id_number"),
        sa.UniqueConstraint("file", name="uq_exports_file"),
    )


def _exported() -> None:
    op.create_table(
        "exported",
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("export_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotations.id"], name="fk_exported_annotation_id_annotations"),
        sa.ForeignKeyConstraint(["export_id"], ["exports.id"], name="fk_exported_export_id_exports"),
        sa.PrimaryKeyConstraint("annotation_id", name="pk_exported"),
    )
    op.create_index("ix_exported_export_id", "exported", ["export_id"])


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
