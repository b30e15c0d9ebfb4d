"""Leases of processes that have died: their time passes."""

from __future__ import annotations

import sqlalchemy


def expire_leases(url: str) -> None:
    """Let the time of the dead pass."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for table in ("jobs", "idempotency", "intents", "leases", "outbox"):
            connection.execute(
                sqlalchemy.text(f"UPDATE {table} SET lease_until = 1 WHERE lease_until > 1")
            )
    engine.dispose()
