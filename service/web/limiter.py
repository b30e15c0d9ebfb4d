"""How often one address may make calls that need no credential. Each process counts by itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import Final

from service.domain.errors import RateLimitedError

LIMITER: Final = "sealwright-limiter"
BURST: Final = 60.0  # a pipeline that signs its images at once
PER_SECOND: Final = 5.0
MAX_ADDRESSES: Final = 10_000  # the least recently seen are forgotten; they start anew


class AddressLimiter:
    """A bucket of tokens for each address. `_lock` guards `_buckets`: tokens, and when counted."""

    def __init__(self, *, burst: float = BURST, per_second: float = PER_SECOND) -> None:
        self._burst: Final = burst
        self._per_second: Final = per_second
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Raises RateLimitedError."""
        now = time.monotonic()
        with self._lock:
            tokens, counted = self._buckets.pop(address, (self._burst, now))
            tokens = min(self._burst, tokens + (now - counted) * self._per_second)
            allowed = tokens >= 1
            self._buckets[address] = (tokens - 1 if allowed else tokens, now)
            while len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        if not allowed:
            raise RateLimitedError(retry_after=(1 - tokens) / self._per_second)
