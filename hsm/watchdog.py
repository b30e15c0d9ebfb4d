"""Notices calls into a module that do not come back: nothing else ever ends them.

A frozen network HSM holds its callers for ever, and no signal, time-out or C_Finalize gets them
out. So every stay of a thread inside a module is on record here while it lasts, and one
thread of the process looks at the record ten times a second.

How long a call has lasted is measured by those looks and not by the clock: a process that was
stopped or starved of the processor has not waited for its HSM meanwhile.

Invariants:
- `_visits` holds, by thread, the innermost stay that is under way. A thread writes its own
  entry only; dict operations are atomic.
- `Visit.progress` is written by its own thread only, `_Watch._seen` by the watching thread only.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

TICK_SECONDS: Final = 0.1
CALL_SECONDS: Final = 2.0  # far longer than a busy HSM takes for anything but new keys
GENERATING: Final = 30.0  # times as long: RSA-4096 takes tens of seconds on small HSMs


class Patience(Enum):
    """What kind of call is under way, and so how long it may take."""

    CALL = auto()
    GENERATE = auto()
    ENDLESS = auto()
    """No call at all: the thread does something of its own between two calls."""


class Visit:
    """One stay of one thread inside a module."""

    __slots__ = ("module", "patience", "progress")

    def __init__(self, module: str) -> None:
        self.module = module
        self.patience = Patience.CALL
        self.progress = 0


_visits: dict[int, Visit] = {}


@contextmanager
def inside(module: str) -> Iterator[None]:
    """Put a stay on record; to begin with, a call is under way."""
    thread = threading.get_ident()
    outer = _visits.get(thread)
    _visits[thread] = Visit(module)
    try:
        yield
    finally:
        if outer is None:
            del _visits[thread]
        else:
            _visits[thread] = outer


def begin(patience: Patience = Patience.CALL) -> None:
    """Say that this thread, which is inside, begins another call; the one before came back."""
    visit = _visits.get(threading.get_ident())
    if visit is not None:
        # In this order: the old call must not be measured by the patience with the new one.
        visit.progress += 1
        visit.patience = patience


Listener = Callable[[str], None]


def watch(listener: Listener, *, call_seconds: float = CALL_SECONDS) -> Callable[[], None]:
    """Call `listener` with the path of a module in which a call is stuck; return how to stop.

    It is called again for each further call that is stuck, by the thread that watches, so it
    must not take long. The listener that came last decides on `call_seconds`.
    """
    return _watch.add(listener, call_seconds)


class _Watch:
    """The watching thread of this process, started with the first listener."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None
        self._call_seconds = CALL_SECONDS
        self._seen: dict[Visit, tuple[int, float]] = {}

    def add(self, listener: Listener, call_seconds: float) -> Callable[[], None]:
        with self._lock:
            self._listeners.append(listener)
            self._call_seconds = call_seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hsm-watchdog", daemon=True)
                self._thread.start()

        def remove() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return remove

    def _run(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            for module in self._look(min(now - last, 2 * TICK_SECONDS)):
                for listener in tuple(self._listeners):
                    listener(module)
            last = now

    def _look(self, lapse: float) -> Iterator[str]:
        """Yield the module of each call that has just turned out to be stuck."""
        # Read once: their threads go on writing.
        visits = [(visit, visit.patience, visit.progress) for visit in list(_visits.values())]
        limits: dict[str, float] = {}
        for visit, patience, _ in visits:
            # Modules that do one thing at a time let everybody wait for a new key.
            limit = self._limit(patience)
            if limit is not None:
                limits[visit.module] = max(limit, limits.get(visit.module, 0.0))
        before, self._seen = self._seen, {}
        for visit, patience, progress in visits:
            if patience is Patience.ENDLESS:
                continue
            # A call that is seen for the first time may have begun just now.
            seen, lasted = before.get(visit, (None, 0.0))
            lasted = lasted + lapse if seen == progress else 0.0
            self._seen[visit] = (progress, lasted)
            if lasted >= limits[visit.module] > lasted - lapse:
                yield visit.module

    def _limit(self, patience: Patience) -> float | None:
        match patience:
            case Patience.CALL:
                return self._call_seconds
            case Patience.GENERATE:
                return self._call_seconds * GENERATING
            case Patience.ENDLESS:
                return None


_watch = _Watch()


def _after_fork_in_child() -> None:
    # Threads and their stays are the parent's.
    global _watch  # noqa: PLW0603 -- per-process state
    _visits.clear()
    _watch = _Watch()


os.register_at_fork(after_in_child=_after_fork_in_child)
