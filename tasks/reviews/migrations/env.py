"""Alembic's way in: the migrations run in the transaction of the connection that they are given."""

from alembic import context

from tasks.reviews.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite can't change a table in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
