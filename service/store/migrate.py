"""Brings a database to the schema of this program, from nothing or from an older one.

Only this module imports Alembic: a worker that serves requests does without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from service.domain.errors import StoreUnavailableError
from service.store import postgresql, sqlite
from service.store.faults import DATABASE_ERRORS, is_locked_out
from service.store.health import SchemaState, schema_state
from service.store.schema import OLDEST_PROGRAM, schema_programs
from service.store.urls import parse_url, sqlite_path

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK_SECONDS: Final = 2  # others that want the table queue behind a migration that waits for it
LOCKED_OUT: Final = 15  # times; a backup holds every table for as long as it takes
PAUSE_SECONDS: Final = 1.0
_LOCK: Final = text("SELECT pg_advisory_xact_lock(7237123641839)")  # any number, always the same


def upgrade(url: str) -> SchemaState:
    """Make the database if it is a file that does not exist, and migrate it, all or nothing.

    Several processes may do so at once: one works, the others wait and find it done. A database
    that a newer program has migrated is left as it is, where this program works with it.

    Returns the state after it.

    Raises:
        ConfigurationError: the URL cannot be used.
        SchemaUnsupportedError: a newer program has migrated it, beyond this one, or another.
        StoreUnavailableError: the database does not answer, cannot be written, or others did not
            let go of a table.
    """
    for _ in range(LOCKED_OUT - 1):
        try:
            return _upgrade(url)
        except StoreUnavailableError as error:
            if not is_locked_out(error.__cause__):
                raise
            time.sleep(PAUSE_SECONDS)
    return _upgrade(url)


def _upgrade(url: str) -> SchemaState:
    with _exclusively(url) as connection:
        if MigrationContext.configure(connection).get_current_heads():
            state = schema_state(connection)
            if not _knows(state.revision):
                state.require_support()
                return state
        command.upgrade(config(connection), "head")
        connection.execute(schema_programs.delete())
        connection.execute(schema_programs.insert(), {"oldest": OLDEST_PROGRAM})
        return schema_state(connection)


def _knows(schema: str | None) -> bool:
    """Whether this program can bring a database of this revision to its own schema."""
    revisions = ScriptDirectory.from_config(_config()).walk_revisions()
    return schema in {one.revision for one in revisions}


def config(connection: Connection) -> Config:
    """Return Alembic's configuration over a connection that is in a transaction."""
    made = _config()
    made.attributes["connection"] = connection
    return made


def _config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return made


@contextmanager
def _exclusively(url: str) -> Iterator[Connection]:
    """Yield a connection in a transaction that no other migration shares."""
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    try:
        with _on_postgresql(parsed) if path is None else _on_sqlite(path) as connection:
            yield connection
    except DATABASE_ERRORS as error:
        # The driver's own text may hold the URL, so only the kind of fault is told.
        kind = type(getattr(error, "orig", None) or error).__name__
        raise StoreUnavailableError(f"the database cannot be migrated: {kind}") from error


@contextmanager
def _on_postgresql(url: URL) -> Iterator[Connection]:
    engine = postgresql.engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(_LOCK)
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _on_sqlite(path: Path) -> Iterator[Connection]:
    _create(path)
    lock = sqlite.FileLock(path)
    engine = sqlite.engine(lambda: sqlite.connect(path, read_only=False))
    try:
        # Two that switch a new file to WAL at once refuse each other without waiting.
        lock.acquire()
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()
        lock.close()


def _create(path: Path) -> None:
    """Make the file, for its owner only: it holds token hashes and who signed what.

    SQLite gives its WAL files the mode of the database.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
