"""Keeps the leases of living requests from running out: one thread a process for all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Thread

from service.domain.clock import Clock
from service.domain.errors import ServiceError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    renew: Callable[[], None]
    every: float
    due: float


class LeaseRenewer:
    """Calls each registered `renew` every so many seconds while its block runs.

    `_held` is guarded by `_changed`. Most requests end long before their first renewal, so
    registering costs a lock and no thread; the thread is started when first needed and ends
    when nothing is held.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = Condition()
        self._held: dict[int, _Held] = {}
        self._numbers = 0
        self._thread: Thread | None = None

    @contextmanager
    def holding(self, renew: Callable[[], None], *, every: float) -> Iterator[None]:
        with self._changed:
            self._numbers += 1
            number = self._numbers
            self._held[number] = _Held(renew, every, self._clock.monotonic() + every)
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="lease-renewer", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._held.pop(number, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = self._clock.monotonic()
                due = [held for held in self._held.values() if held.due <= now]
                for held in due:
                    held.due = now + held.every
                if not due:
                    soonest = min((held.due for held in self._held.values()), default=now + 5.0)
                    self._changed.wait(max(0.05, min(soonest - now, 1.0)))
            for held in due:
                try:
                    held.renew()
                except ServiceError as error:
                    # A lease that cannot be renewed is found out at step 9, which refuses.
                    log.warning(
                        "lease not renewed", extra={"code": error.code, "detail": str(error)}
                    )
