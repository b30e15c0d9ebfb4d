"""When to leave a failing token alone: 0.1 s, doubled with each failure, at most 0.5 s.

The cap is low because recovery has to follow the token's within a second.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 0.5
_DOUBLINGS: Final = 3  # after these the cap is reached, and 2**n need not grow on


class Backoff:
    """Counts failures in a row; several threads may report the same one."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    def remaining(self) -> float:
        """Return the seconds in which nothing should be tried; 0 or less means: try."""
        if not self._failures:
            return 0.0
        return self._until - self._monotonic()

    @property
    def failing(self) -> bool:
        """Whether the last that was heard is a failure, however long ago."""
        return self._failures > 0

    def failed(self) -> float:
        """Count a failure, unless one was counted already for this pause; return the pause."""
        with self._lock:
            now = self._monotonic()
            if not self._failures or now >= self._until:
                doubled = 2 ** min(self._failures, _DOUBLINGS)
                self._until = now + min(FIRST_SECONDS * doubled, LONGEST_SECONDS)
                self._failures += 1
            return self._until - now

    def succeeded(self) -> None:
        if self._failures:
            with self._lock:
                self._failures = 0
