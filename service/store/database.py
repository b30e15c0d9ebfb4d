"""One database as the rest of the package sees it: `read` and `write`, whichever it is.

Nothing is opened before the first use, and nothing that was opened is used after a fork:
gunicorn may build a Store in its master and use it in its workers.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from service.store import postgresql, sqlite
from service.store.faults import DATABASE_ERRORS, is_disconnect, unavailable
from service.store.urls import parse_url, sqlite_path
from service.store.writer import GroupWriter

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What one process has open. `writer` and `lent` are None for PostgreSQL."""

    readers: Engine
    writers: Engine
    writer: GroupWriter | None
    lent: sqlite.Readers | None = None


class Database:
    """Runs functions over a connection, each write in a transaction of its own.

    A function given to `write` may run more than once, so it changes nothing but the
    database. `_opened` is guarded by `_lock` and belongs to the process that opened it.
    """

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError if the URL cannot be used."""
        self.url: Final = parse_url(url)
        self._path = sqlite_path(self.url)
        self.is_postgresql: Final = self._path is None
        self._lock = Lock()
        self._opened: _Opened | None = None
        _ALIVE.add(self)

    def read(self, run: Callable[[Connection], T]) -> T:
        """Raises StoreUnavailableError."""
        opened = self._open()
        try:
            if opened.lent is not None:
                return opened.lent.read(run)
            try:
                with opened.readers.connect() as connection:
                    return run(connection)
            except DATABASE_ERRORS as error:
                if not is_disconnect(error):
                    raise
            # The pool has now thrown away what the server's restart left in it.
            with opened.readers.connect() as connection:
                return run(connection)
        except DATABASE_ERRORS as error:
            away = unavailable(error)
            if away is None:
                raise
            raise away from error

    def write(self, run: Callable[[Connection], T]) -> T:
        """Return what `run` returned, once it is durable.

        Raises:
            StoreUnavailableError: nothing was changed, unless the connection died at the
                very commit.
        """
        opened = self._open()
        if opened.writer is not None:
            return opened.writer.write(run)
        try:
            return postgresql.transact(opened.writers, run)
        except DATABASE_ERRORS as error:
            away = unavailable(error)
            if away is None:
                raise
            raise away from error

    def write_share(self, run: Callable[[Connection, Sequence[S]], Sequence[T]], share: S) -> T:
        """As `write`, for work that can be done for several callers at once.

        `run` returns one result for each share, in their order. It must be the same function
        for all who may be joined, and none of them may depend on the order of shares.
        """
        writer = self._open().writer
        if writer is not None:
            return writer.write_share(run, share)
        return self.write(lambda connection: run(connection, (share,))[0])

    def close(self) -> None:
        """Let go of threads and connections; a later use opens new ones."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            if opened.writer is not None:
                opened.writer.close()
            if opened.lent is not None:
                opened.lent.close()
            opened.writers.dispose()
            opened.readers.dispose()

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def _make(self) -> _Opened:
        path = self._path
        if path is not None:
            readers = sqlite.engine(lambda: sqlite.connect(path, read_only=True))
            return _Opened(readers, readers, GroupWriter(path), sqlite.Readers(readers))
        writers = postgresql.engine(self.url)
        # Statements that only read need no BEGIN and no ROLLBACK: two round trips less.
        readers = writers.execution_options(isolation_level="AUTOCOMMIT")
        return _Opened(readers, writers, None)

    def forget_parent(self) -> None:
        """In a forked child: start anew, and keep what the parent opened from being closed.

        Closing it would tell PostgreSQL that the parent has gone.
        """
        if self._opened is not None:
            _INHERITED.append(self._opened)
        self._lock = Lock()
        self._opened = None


_ALIVE: Final[weakref.WeakSet[Database]] = weakref.WeakSet()
_INHERITED: Final[list[_Opened]] = []


def _after_fork() -> None:
    for database in list(_ALIVE):
        database.forget_parent()


# A hook runs before any thread of the child can; a comparison of process ids would race.
os.register_at_fork(after_in_child=_after_fork)
