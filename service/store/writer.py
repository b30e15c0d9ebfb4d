"""SQLite's one writer of a process: a thread that commits many callers' work together.

A commit with synchronous=FULL costs a disk flush however little it holds. Work that arrives
while one is under way shares the next one. Each work runs in a savepoint of its own, so that
one which fails takes nothing of its neighbours along, and nobody is told of success before
COMMIT has returned.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from service.domain.errors import StoreUnavailableError
from service.store import sqlite
from service.store.faults import RETRY_SECONDS, unavailable

T = TypeVar("T")

WAIT_SECONDS: Final = 10.0  # for the turn of a work to come; then the store counts as away
GROUP_SECONDS: Final = 0.02  # a group that ran so long is committed before more is taken in


class _Work(Generic[T]):
    """One caller's work. `result` or `error` is set before `done` is released, once."""

    __slots__ = ("done", "error", "result", "run")

    def __init__(self, run: Callable[[Connection], T]) -> None:
        self.run = run
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = Lock()
        self.done.acquire()

    def end(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.error = error
        self.done.release()


class GroupWriter:
    """Runs works one after the other on one connection, and commits them in groups.

    Invariants:
    - `_waiting` and `_closed` are guarded by `_changed`. A work in `_waiting` has not begun:
      who removes it from there, the thread or a caller that gave up, owns its end.
    - The connection and the lock file belong to the thread alone, and are opened by it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = Condition(Lock())
        self._waiting: deque[_Work[object]] = deque()
        self._closed = False
        self._thread = Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, run: Callable[[Connection], T]) -> T:
        """Return what `run` returned, once it is committed.

        Raises:
            StoreUnavailableError: nothing of it is in the database.
        """
        work = _Work(run)
        with self._changed:
            if self._closed:
                raise StoreUnavailableError("the store is closed", retry_after=RETRY_SECONDS)
            self._waiting.append(work)  # type: ignore[arg-type]  # its own caller reads the result
            self._changed.notify()
        if not work.done.acquire(timeout=WAIT_SECONDS):
            if self._withdraw(work):  # type: ignore[arg-type]  # as above
                raise StoreUnavailableError("the database is locked", retry_after=RETRY_SECONDS)
            # It has begun, so its end must be known; the busy timeout bounds it.
            work.done.acquire()
        if work.error is not None:
            try:
                raise work.error
            finally:
                work.error = None  # breaks the cycle of the traceback with this frame
        return work.result  # type: ignore[return-value]  # set, as there was no error

    def close(self) -> None:
        """End the thread once everything that was handed in is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _withdraw(self, work: _Work[object]) -> bool:
        with self._changed:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def _next(self) -> _Work[object] | None:
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def _loop(self) -> None:
        session: _Session | None = None
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        if session is not None:
                            session.close()
                        return
                    self._changed.wait()
            try:
                if session is None:
                    session = _Session(self._path)
                session.lock.acquire()
                try:
                    self._group(session)
                finally:
                    session.lock.release()
            except BaseException as error:  # noqa: BLE001  # whatever it is, somebody waits for it
                # No transaction could be begun, so none of what waits can be done now.
                if session is not None:
                    session.close()
                    session = None
                while (work := self._next()) is not None:
                    work.end(_again(unavailable(error) or error))

    def _group(self, session: _Session) -> None:
        """Take what waits, run it, commit, and tell the callers."""
        raw = session.raw
        raw.execute("BEGIN IMMEDIATE")
        ran: list[_Work[object]] = []
        ended = time.monotonic() + GROUP_SECONDS
        alone = len(self._waiting) == 1
        fault: BaseException | None = None
        try:
            while fault is None and (work := self._next()) is not None:
                error = _run(work, session.connection, raw, alone=alone)
                if error is None:
                    ran.append(work)
                else:
                    work.end(unavailable(error) or error)
                    if not raw.in_transaction and not alone:
                        # A full disk and its like end the whole transaction.
                        fault = error
                if alone or time.monotonic() >= ended:
                    break
            if fault is None and raw.in_transaction:
                raw.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  # their callers are told, see below
            fault = error
        if fault is not None:
            _roll_back(raw)
            answer = unavailable(fault) or fault
            for work in ran:
                work.end(_again(answer))
            return
        for work in ran:
            work.end()


class _Session:
    """The writer thread's own connection and lock file."""

    def __init__(self, path: Path) -> None:
        self.raw = sqlite.connect(path, read_only=False)
        self._engine = sqlite.engine(lambda: self.raw, size=1)
        try:
            self.connection = self._engine.connect()
            self.lock = sqlite.FileLock(path)
        except BaseException:
            self.raw.close()
            raise

    def close(self) -> None:
        self.lock.close()
        _roll_back(self.raw)
        self.connection.close()
        self._engine.dispose()


def _run(
    work: _Work[object], connection: Connection, raw: sqlite3.Connection, *, alone: bool
) -> BaseException | None:
    """Run one work; what fails is undone, and returned."""
    try:
        if alone:
            work.result = work.run(connection)
            return None
        raw.execute("SAVEPOINT work")
        work.result = work.run(connection)
        raw.execute("RELEASE work")
    except BaseException as error:  # noqa: BLE001  # it is the caller's, who gets it
        if alone:
            _roll_back(raw)
        elif raw.in_transaction:
            raw.execute("ROLLBACK TO work")
            raw.execute("RELEASE work")
        return error
    return None


def _roll_back(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def _again(error: BaseException) -> BaseException:
    """Return an error of its own for each caller: a traceback must not be shared by threads."""
    if isinstance(error, StoreUnavailableError):
        return StoreUnavailableError(str(error), retry_after=error.retry_after)
    return error
