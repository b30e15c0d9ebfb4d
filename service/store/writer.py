"""SQLite's one writer of a process: a thread that commits many callers' work together.

A commit with synchronous=FULL costs a disk flush however little it holds. Work that arrives
while one is under way shares the next one. Each work runs in a savepoint of its own, so that
one which fails takes nothing of its neighbours along, and nobody is told of success before
COMMIT has returned. Works that are shares of the same run are run together: one pass of
statements for eight callers costs little more than for one.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection

from service.domain.errors import StoreUnavailableError
from service.store import sqlite
from service.store.faults import RETRY_SECONDS, unavailable

S = TypeVar("S")
T = TypeVar("T")

WAIT_SECONDS: Final = 10.0  # for the turn of a work to come; then the store counts as away
_Run = Callable[[Connection, Sequence[Any]], Sequence[object]]
"""Does the work of several shares, and returns one result for each, in their order."""

GROUP_SECONDS: Final = 0.02  # a group that ran so long is committed before more is taken in


class _Work:
    """One caller's share of a run. `result` or `error` is set before `done` is released, once."""

    __slots__ = ("done", "error", "result", "run", "share")

    def __init__(self, run: _Run, share: object) -> None:
        self.run = run
        self.share = share
        self.result: object = None
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
        self._waiting: deque[_Work] = deque()
        self._closed = False
        self._thread = Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, run: Callable[[Connection], T]) -> T:
        """Return what `run` returned, once it is committed.

        Raises:
            StoreUnavailableError: nothing of it is in the database.
        """
        return self.write_share(lambda connection, _: (run(connection),), None)

    def write_share(self, run: Callable[[Connection, Sequence[S]], Sequence[T]], share: S) -> T:
        """As `write`, together with what others wait to have done by the same `run`."""
        work = _Work(run, share)
        with self._changed:
            if self._closed:
                raise StoreUnavailableError("the store is closed", retry_after=RETRY_SECONDS)
            self._waiting.append(work)
            self._changed.notify()
        if not work.done.acquire(timeout=WAIT_SECONDS):
            if self._withdraw(work):
                raise StoreUnavailableError("the database is locked", retry_after=RETRY_SECONDS)
            # It has begun, so its end must be known; the busy timeout bounds it.
            work.done.acquire()
        if work.error is not None:
            try:
                raise work.error
            finally:
                work.error = None  # breaks the cycle of the traceback with this frame
        return cast("T", work.result)

    def close(self) -> None:
        """End the thread once everything that was handed in is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _withdraw(self, work: _Work) -> bool:
        with self._changed:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def _next(self) -> list[_Work]:
        """Return what is run next: the oldest work, with all that wait for the same run."""
        with self._changed:
            if not self._waiting:
                return []
            run = self._waiting[0].run
            together = [work for work in self._waiting if work.run is run]
            self._waiting = deque(work for work in self._waiting if work.run is not run)
            return together

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
                while works := self._next():
                    for work in works:
                        work.end(_again(unavailable(error) or error))

    def _group(self, session: _Session) -> None:
        """Take what waits, run it, commit, and tell the callers."""
        session.raw.execute("BEGIN IMMEDIATE")
        group = _Group(session, alone=len(self._waiting) == 1)
        ended = time.monotonic() + GROUP_SECONDS
        try:
            while works := self._next():
                group.run(works)
                if group.fault is not None or group.alone or time.monotonic() >= ended:
                    break
            group.commit()
        except BaseException as error:  # noqa: BLE001  # their callers are told, see below
            group.fault = error
        group.tell()


class _Group:
    """One transaction. `fault` is what has ended it before its commit.

    A work that fails is undone and told at once; the others are told when all is over.
    """

    def __init__(self, session: _Session, *, alone: bool) -> None:
        self.fault: BaseException | None = None
        self.alone = alone
        self._session = session
        self._ran: list[_Work] = []

    def run(self, works: Sequence[_Work]) -> None:
        """Run works of one run together, or one by one if that fails."""
        error = self._try(works)
        if error is None:
            self._ran += works
        elif len(works) == 1:
            works[0].end(unavailable(error) or error)
        elif self.fault is not None:
            for work in works:
                work.end(_again(unavailable(error) or error))
        else:
            # One of them is at fault, and only that one shall fail.
            for work in works:
                self.run([work])

    def commit(self) -> None:
        if self.fault is None and self._session.raw.in_transaction:
            self._session.raw.execute("COMMIT")

    def tell(self) -> None:
        if self.fault is None:
            for work in self._ran:
                work.end()
            return
        _roll_back(self._session.raw)
        answer = unavailable(self.fault) or self.fault
        for work in self._ran:
            work.end(_again(answer))

    def _try(self, works: Sequence[_Work]) -> BaseException | None:
        """Return what failed, which is then undone."""
        raw = self._session.raw
        if self.fault is not None:
            return self.fault
        try:
            if not self.alone:
                raw.execute("SAVEPOINT work")
            results = works[0].run(self._session.connection, [work.share for work in works])
            for work, result in zip(works, results, strict=True):
                work.result = result
            if not self.alone:
                raw.execute("RELEASE work")
        except BaseException as error:  # noqa: BLE001  # it is the caller's, who gets it
            if self.alone:
                _roll_back(raw)
            elif raw.in_transaction:
                raw.execute("ROLLBACK TO work")
                raw.execute("RELEASE work")
            else:
                # A full disk and its like end the whole transaction.
                self.fault = error
            return error
        return None


class _Session:
    """The writer thread's own connection and lock file."""

    def __init__(self, path: Path) -> None:
        self.raw = sqlite.connect(path, read_only=False)
        # A batch changes more pages than the cache keeps: none is written before the commit,
        # which would be to write it twice.
        self.raw.execute("PRAGMA cache_spill = OFF")
        self._engine = sqlite.engine(lambda: self.raw)
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


def _roll_back(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def _again(error: BaseException) -> BaseException:
    """Return an error of its own for each caller: a traceback must not be shared by threads."""
    if isinstance(error, StoreUnavailableError):
        made = StoreUnavailableError(str(error), retry_after=error.retry_after)
        if error.__cause__ is not None:
            # Only its words are wanted; its frames would keep the failed session alive.
            made.__cause__ = error.__cause__.with_traceback(None)
        return made
    return error
