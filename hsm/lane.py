"""Threads that call a module for others, who can then be let go when a call does not come back.

Whoever waits for a frozen HSM cannot be woken; whoever waits here for a thread that waits for
the HSM can. It costs some ten microseconds a call.

Invariants, guarded by `_lock`:
- A ticket is in `_open` until its caller has been given an end, which happens once.
- `_left_behind` counts the threads that are still at work for a caller who was let go. While
  there is one, nobody new is taken on: they would only get stuck behind it.
- `_spare` is the number of idle threads less that of the tickets that wait for one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from hsm.errors import HSMUnavailableError, ModuleQuarantinedError

T = TypeVar("T")

WAIT_SECONDS: Final = 5.0  # for a free thread: longer than a chunk of signatures takes
RETRY_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 30.0  # a thread that had nothing to do for so long ends


class _State(Enum):
    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


class _Ticket(Generic[T]):
    __slots__ = ("done", "error", "function", "result", "state")

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.state = _State.WAITING
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Lane:
    def __init__(self, name: str, *, threads: int) -> None:
        """Starts no thread before there is something to do."""
        self._name = name
        self._most = threads
        self._reset()
        _ALIVE.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Ticket[object]] = SimpleQueue()
        self._open: set[_Ticket[object]] = set()
        self._threads = 0
        self._spare = 0
        self._left_behind = 0

    @property
    def is_stuck(self) -> bool:
        return self._left_behind > 0

    def run(self, function: Callable[[], T]) -> T:
        """Return or raise what `function` does, on a thread of ours.

        Raises:
            ModuleQuarantinedError: a call of this lane is stuck.
            HSMUnavailableError: all threads are busy, and stay so.
        """
        ticket = _Ticket(function)
        self._submit(ticket)  # type: ignore[arg-type]  # its own caller reads the result
        if not ticket.done.acquire(timeout=WAIT_SECONDS):
            if self._withdraw(ticket):  # type: ignore[arg-type]  # as above
                raise HSMUnavailableError(f"all sessions of {self._name!r} are busy")
            ticket.done.acquire()
        if ticket.error is not None:
            try:
                raise ticket.error
            finally:
                ticket.error = None  # breaks the cycle of the traceback with this frame
        return ticket.result  # type: ignore[return-value]  # set, as there was no error

    def let_go(self) -> None:
        """Tell everybody who waits that the module is frozen."""
        with self._lock:
            for ticket in self._open:
                if ticket.state is _State.RUNNING:
                    self._left_behind += 1
                ticket.state = _State.ENDED
                ticket.error = frozen(self._name)
                ticket.done.release()
            self._open.clear()

    def _submit(self, ticket: _Ticket[object]) -> None:
        with self._lock:
            if self._left_behind:
                raise frozen(self._name)
            self._open.add(ticket)
            self._queue.put(ticket)
            self._spare -= 1
            if self._spare >= 0 or self._threads == self._most:
                return
            self._threads += 1
            self._spare += 1
        # Daemons: one that is stuck must not keep the process from ending.
        threading.Thread(target=self._work, name=f"hsm-{self._name}", daemon=True).start()

    def _withdraw(self, ticket: _Ticket[object]) -> bool:
        with self._lock:
            if ticket.state is not _State.WAITING:
                return False
            ticket.state = _State.ENDED
            self._open.discard(ticket)
            return True

    def _work(self) -> None:
        while True:
            try:
                ticket = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._spare > 0:
                        self._spare -= 1
                        self._threads -= 1
                        return
                continue
            self._serve(ticket)
            del ticket  # or it would keep alive what it holds until the next one

    def _serve(self, ticket: _Ticket[object]) -> None:
        with self._lock:
            if ticket.state is _State.ENDED:
                self._spare += 1
                return
            ticket.state = _State.RUNNING
        result: object = None
        raised: BaseException | None = None
        try:
            result = ticket.function()
        except BaseException as error:  # noqa: BLE001 -- it is the caller's, who gets it
            raised = error
        with self._lock:
            self._spare += 1
            if ticket.state is _State.ENDED:
                self._left_behind -= 1
                return
            ticket.state = _State.ENDED
            ticket.result, ticket.error = result, raised
            self._open.discard(ticket)
        ticket.done.release()


def frozen(name: str) -> ModuleQuarantinedError:
    return ModuleQuarantinedError(
        f"the HSM of the token {name!r} does not come back from calls", retry_after=RETRY_SECONDS
    )


_ALIVE: Final[weakref.WeakSet[Lane]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # The threads, and those who wait for them, are the parent's.
    for lane in list(_ALIVE):
        lane._reset()  # noqa: SLF001 -- of this very module


os.register_at_fork(after_in_child=_after_fork_in_child)
