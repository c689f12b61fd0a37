"""Where Alembic enters: the connection is given by `ioint_node.store.migrate`, never by an ini file."""

from __future__ import annotations

from alembic import context

from ioint_node.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
