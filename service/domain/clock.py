"""The only place that asks what time it is; everything else is given a Clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests turn it by hand."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, always aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for waits and deadlines."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def rough_millis() -> int:
    """Return this machine's time, for what is merely sorted by it: it decides nothing."""
    return time.time_ns() // 1_000_000


def rfc3339(moment: datetime) -> str:
    """Return `moment` as RFC 3339 UTC with milliseconds and Z.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime is not a moment")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole_millis(moment: datetime) -> datetime:
    """Return `moment` without what is finer than is shown (cut off) and stored (rounded)."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def to_millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
