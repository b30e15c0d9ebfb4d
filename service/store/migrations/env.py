"""Runs migrations over the connection that `service.store.migrate` hands in.

There is no alembic.ini: URL and locking are ours, and each migration is all or nothing.
"""

from __future__ import annotations

from alembic import context

from service.store.partial_indexes import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,  # on SQLite too: we have said BEGIN ourselves
    compare_type=True,
)
# The caller's transaction is the one: Alembic must neither begin nor commit another.
context.run_migrations()
