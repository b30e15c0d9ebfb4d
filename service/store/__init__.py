"""The record, in SQLite or PostgreSQL: the adapters behind `service.ports.store`."""

from __future__ import annotations

from service.store.migrate import upgrade
from service.store.store import Store

__all__ = ["Store", "upgrade"]
