"""Tells the database's own failures (could not check) from ours (wrong)."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.domain.errors import SchemaUnsupportedError, StoreUnavailableError

RETRY_SECONDS: Final = 1.0  # a restart or a failover takes about so long
_NOT_MIGRATED: Final = frozenset({"42P01", "42703", "3F000"})  # undefined table, column, schema
_READ_ONLY: Final = "25006"  # read-only SQL transaction
_LOCKED: Final = frozenset({"55P03", "40P01"})  # lock not available, deadlock
_TRANSIENT: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock

DATABASE_ERRORS: Final = (DBAPIError, PoolTimeoutError, sqlite3.Error, OSError)
"""What `unavailable` can judge: the driver's errors, the pool's, and those of the lock file."""


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code for what went wrong, if the error carries one."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction, run again at once, may well succeed."""
    return sqlstate(error) in _TRANSIENT


def is_locked_out(error: BaseException | None) -> bool:
    """Whether others held what was wanted for too long."""
    return error is not None and sqlstate(error) in _LOCKED


def is_disconnect(error: BaseException) -> bool:
    """Whether the connection was found dead, as pooled ones are after the server restarted."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_turned_read_only(error: BaseException) -> bool:
    """Whether the server takes no writes, as one that was made a standby does not."""
    return sqlstate(error) == _READ_ONLY


def is_not_migrated(error: BaseException) -> bool:
    """Whether a table is missing; SQLite tells so in words only."""
    return sqlstate(error) in _NOT_MIGRATED or "no such table" in str(error)


def unavailable(error: BaseException) -> StoreUnavailableError | None:
    """Return what to tell the caller; None if the statement or its data are at fault (a bug).

    What lies behind it goes along as its cause, for the operator, also where the one who is told
    is another thread than the one that failed.
    """
    told = _told(error)
    if told is not None:
        told.__cause__ = error
    return told


def _told(error: BaseException) -> StoreUnavailableError | None:
    if isinstance(error, (IntegrityError, DataError, sqlite3.IntegrityError)):
        return None
    if is_not_migrated(error):
        return SchemaUnsupportedError("the database is not migrated", retry_after=RETRY_SECONDS)
    if isinstance(error, (ProgrammingError, sqlite3.ProgrammingError)):
        return None
    kinds = (DatabaseError, InterfaceError, PoolTimeoutError, sqlite3.Error, OSError)
    if isinstance(error, kinds):
        return StoreUnavailableError("the database did not answer", retry_after=RETRY_SECONDS)
    return None
