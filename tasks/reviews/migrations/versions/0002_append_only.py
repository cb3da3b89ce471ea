"""Annotations can be added and nothing else: whoever writes, the database refuses an UPDATE and a DELETE."""

from alembic import op

revision = "0002"
down_revision = "0001"

WORDS = "annotations are append-only: add a row that supersedes the other"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    for change in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER annotations_no_{change} BEFORE {change.upper()} ON annotations "
            f"BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
        )


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION annotations_are_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    for change, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER annotations_append_only_{each.lower()} BEFORE {change} ON annotations "
            f"FOR EACH {each} EXECUTE FUNCTION annotations_are_append_only()"
        )
