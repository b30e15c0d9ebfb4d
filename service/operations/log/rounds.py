"""Rounds that callers of one process share: who comes while one runs is served by the next."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Lock
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import LogUnavailableError, ServiceError


class SharedRounds:
    """Runs `run` for many callers at once.

    Invariants, all guarded by `_changed`:
    - Round `_begun` is the newest that has begun; it is running while `_is_running`.
    - `_ended` is the newest that has ended, and `_error` what became of it.
    """

    def __init__(self, run: Callable[[float], None], clock: Clock) -> None:
        self._run: Final = run
        self._clock: Final = clock
        self._changed = Condition(Lock())
        self._begun = 0
        self._ended = 0
        self._is_running = False
        self._error: ServiceError | None = None

    def join(self, deadline: float) -> None:
        """Return when a round that began after this call has ended well.

        Raises:
            LogUnavailableError: the deadline (of the monotonic clock) has passed.
            ServiceError: that round failed.
        """
        with self._changed:
            wanted = self._begun + 1
            while self._ended < wanted:
                if not self._is_running:
                    self._lead(deadline)
                    return
                left = deadline - self._clock.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise LogUnavailableError("the log was not extended in time")
            if self._error is not None:
                # An error of its own for each caller: a traceback is not shared by threads.
                error = self._error
                raise type(error)(str(error), retry_after=error.retry_after) from error

    @property
    def has_failed(self) -> bool:
        """Whether the newest round that has ended failed."""
        with self._changed:
            return self._error is not None

    def _lead(self, deadline: float) -> None:
        """Run the next round; called, and left, with the lock held."""
        self._begun += 1
        self._is_running = True
        error: ServiceError | None = LogUnavailableError("the log was not extended")
        self._changed.release()
        try:
            self._run(deadline)
            error = None
        except ServiceError as failure:
            error = failure
            raise
        finally:
            self._changed.acquire()
            self._is_running = False
            self._ended = self._begun
            self._error = error
            self._changed.notify_all()
