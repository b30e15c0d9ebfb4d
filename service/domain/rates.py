"""How often something may happen: a bucket that fills evenly, kept as a single moment.

The generic cell rate algorithm: all that is remembered of a bucket is when it will be full
again. One that is full by now is as good as none, so nothing about the idle need be kept.
Moments are whole microseconds by one clock, that of the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_PER_MINUTE: Final = 1_000_000
SHARES: Final = 20
MAX_SHARE: Final = 100
_MINUTE: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` at once, and so many a minute in the long run."""

    per_minute: int
    burst: int

    @property
    def share(self) -> int:
        """How many a process takes out at a time, to let them go by itself."""
        return max(1, min(self.burst // SHARES, MAX_SHARE))

    @property
    def interval(self) -> int:
        """Microseconds until there is one more; rounded up, so that there is never one too many."""
        return -(-_MINUTE // self.per_minute)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came out of a bucket, and when that is full again; none: how long until there is one."""

    count: int
    full_at: int
    wait_seconds: float = 0.0


def take(limit: RateLimit, *, full_at: int, now: int, most: int) -> Taken:
    """Take up to `most` out of the bucket that is full at `full_at`."""
    interval, window = limit.interval, limit.burst * limit.interval
    # Never emptier than empty: a clock that was set back, or a limit that was lowered, locks
    # nobody out for longer than the whole bucket takes to fill.
    full_at = min(max(full_at, now), now + window)
    count = min((now + window - full_at) // interval, most)
    if count < 1:
        return Taken(0, full_at, (full_at + interval - now - window) / 1_000_000)
    return Taken(count, full_at + count * interval)
