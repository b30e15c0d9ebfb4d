"""The record, in SQLite or PostgreSQL: the adapters behind `service.ports.store`.

`service.store.migrate` is not imported here: it brings Alembic, which no worker needs.
"""

from __future__ import annotations

from service.store.store import Store

__all__ = ["Store"]
