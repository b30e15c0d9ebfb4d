"""A bounded pool of threads for calls that wait on registries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Fanout:
    """Runs calls side by side, in at most `threads` threads a process.

    The pool is made at first use and belongs to the process that made it: a forked child
    makes its own. Calls given to it must not use the same Fanout, or all threads could
    wait for each other.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = Lock()
        self._owner = 0
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, call: Callable[[A], R], argument: A) -> Future[R]:
        return self._started().submit(call, argument)

    def map(self, call: Callable[[A], R], arguments: Iterable[A]) -> Sequence[R]:
        """Return the results in order; the first exception is raised when all have ended."""
        wanted = list(arguments)
        if len(wanted) <= 1:
            return [call(argument) for argument in wanted]
        futures = [self.submit(call, argument) for argument in wanted]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Wait for what runs, then end the threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._owner == os.getpid():
            pool.shutdown(wait=True)

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None or self._owner != os.getpid():
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="fanout")
                self._owner = os.getpid()
            return self._pool
