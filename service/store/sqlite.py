"""Connections to the one SQLite file, and the lock file through which processes take turns.

WAL with synchronous=FULL: a commit that returned survives a power cut, and readers never
wait for the writer. The file must exist (`service.store.migrate.upgrade` makes it): a wrong
path is reported instead of growing an empty database.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine

T = TypeVar("T")

BUSY_SECONDS: Final = 5.0  # against writers that do not know the lock file, such as a backup
KEPT_READERS: Final = 8  # of those kept open: a gthread worker has about so many threads
CACHED_STATEMENTS: Final = 256  # more than this package has
WRITER_CACHE_KIB: Final = 1024  # other processes' commits empty it anyway
READER_CACHE_KIB: Final = 256  # for each of them; what they read lies in the kernel's cache anyway


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # a pool lends each connection to one thread at a time
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA foreign_keys = ON")
            # Without it REPLACE would delete a row behind the back of the delete trigger.
            connection.execute("PRAGMA recursive_triggers = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def engine(connecting: Callable[[], sqlite3.Connection]) -> Engine:
    """Return an engine over connections of this module; it opens none before its first use.

    The driver begins no transactions by itself: each statement of a reader sees the newest
    commit, and the writer says BEGIN IMMEDIATE where it means it.
    """
    return create_engine(
        "sqlite+pysqlite://",
        creator=connecting,
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,  # no more than there are threads
        pool_use_lifo=True,
        pool_reset_on_return=None,
    )


class Readers:
    """Keeps a few reading connections open, the last used first; a pool costs more than a read.

    deque's own operations are atomic, so that no lock is needed.
    """

    def __init__(self, readers: Engine) -> None:
        self._engine = readers
        self._idle: deque[Connection] = deque()
        self._closed = False

    def read(self, run: Callable[[Connection], T]) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            result = run(connection)
        except BaseException:
            # A cursor that was not read to its end would hold on to what it saw.
            connection.close()
            raise
        if len(self._idle) < KEPT_READERS and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()
        return result

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class FileLock:
    """An exclusive flock on a file beside the database.

    SQLite makes a second writer sleep and try again, for longer each time, so that a busy
    process starves the others; the kernel wakes waiters of a flock in turn. It is for
    fairness only: BEGIN IMMEDIATE still guards the database.

    Owned by one thread. A file opened before a fork would share its lock with the child, so
    the owner opens it in the process that uses it.
    """

    def __init__(self, database: Path) -> None:
        self._file = os.open(
            database.with_name(database.name + ".lock"),
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )

    def acquire(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
