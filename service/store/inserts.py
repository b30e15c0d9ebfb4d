"""INSERT … ON CONFLICT, which the two databases write alike and SQLAlchemy keeps apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert_into(table: Table, dialect: str) -> Any:
    """Return the dialect's own INSERT."""
    if dialect != "postgresql":
        return sqlite.insert(table)
    # 3 MB, which a process on SQLite need not have.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)


def upsert(table: Table, complete: Callable[[Any], Any]) -> Callable[[Connection], Any]:
    """Return a function that gives the statement for a connection: `complete` of its INSERT."""

    @cache
    def statement(dialect: str) -> Any:
        return complete(insert_into(table, dialect))

    return lambda connection: statement(connection.dialect.name)
