"""Registries that do not answer are left alone for a while, each by itself, however much waits.

Without it a registry that is away would be asked for every image that waits for it, each until
its time-out, and the deliveries to others would stand behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final

from service.domain.clock import Clock
from service.operations.backoff import backoff

CAP_SECONDS: Final = 60.0  # one that is back is noticed within a minute


@dataclass(frozen=True, slots=True)
class _Pause:
    failures: int
    until: float


class RegistryPauses:
    """What this process knows of registries that are away. `_lock` guards `_pauses`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._pauses: dict[str, _Pause] = {}

    def left(self, host: str) -> float:
        """Return for how many seconds the host is to be left alone."""
        with self._lock:
            pause = self._pauses.get(host)
        return 0.0 if pause is None else max(0.0, pause.until - self._clock.monotonic())

    def was_silent(self, host: str) -> None:
        """Begin a pause, longer than the last; what fails while there is one adds nothing."""
        now = self._clock.monotonic()
        with self._lock:
            pause = self._pauses.get(host, _Pause(0, now))
            if pause.until <= now:
                seconds = backoff(pause.failures, cap=CAP_SECONDS)
                self._pauses[host] = _Pause(pause.failures + 1, now + seconds)

    def answered(self, host: str) -> None:
        with self._lock:
            self._pauses.pop(host, None)
