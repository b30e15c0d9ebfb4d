"""The store's smallest ports in memory, for tests of parts that only lean on them.

Real implementations with the obligations of `service.ports.store`, except that they are one
process's and end with it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Figures
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from service.domain.errors import LeaseLostError, ServiceError
from service.domain.rates import RateLimit, Taken, take
from service.ports.metrics import Counter, Histogram, Reading
from service.ports.store import Lease, Quarantined


@dataclass
class MemoryPINLatch:
    rows: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_latched(self, token: str, fingerprint: str) -> bool:
        with self._lock:
            return (token, fingerprint) in self.rows

    def latch(self, token: str, fingerprint: str) -> None:
        with self._lock:
            self.rows.add((token, fingerprint))

    def clear(self, token: str, *, actor: str) -> bool:
        with self._lock:
            mine = {row for row in self.rows if row[0] == token}
            self.rows -= mine
            return bool(mine)


@dataclass
class MemoryLeases:
    held: dict[str, tuple[Lease, float]] = field(default_factory=dict)
    _fencing: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, name: str, *, owner: str, seconds: float) -> Lease | None:
        with self._lock:
            known = self.held.get(name)
            if known is not None and known[1] > time.monotonic():
                return None
            self._fencing += 1
            lease = Lease(name, owner, self._fencing)
            self.held[name] = (lease, time.monotonic() + seconds)
            return lease

    def renew(self, lease: Lease, *, seconds: float) -> None:
        with self._lock:
            if not self._is_held(lease):
                raise LeaseLostError
            self.held[lease.name] = (lease, time.monotonic() + seconds)

    def release(self, lease: Lease) -> None:
        with self._lock:
            if self._is_held(lease):
                del self.held[lease.name]

    def _is_held(self, lease: Lease) -> bool:
        known = self.held.get(lease.name)
        return known is not None and known[0] == lease and known[1] > time.monotonic()


@dataclass
class MemoryQuarantine:
    """Never holds a module for longer than its probes do."""

    modules: set[str] = field(default_factory=set)
    fault: ServiceError | None = None
    """What the store says while it is away."""
    put_times: int = 0

    def put(self, module: str) -> None:
        self._check()
        self.put_times += module not in self.modules
        self.modules.add(module)

    def standing(self) -> Sequence[Quarantined]:
        self._check()
        return [Quarantined(module, 0.0) for module in sorted(self.modules)]

    def lift(self, module: str) -> bool:
        self._check()
        was_in = module in self.modules
        self.modules.discard(module)
        return was_in

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault


@dataclass
class MemoryMeter:
    """Counts in this process, and exposes one figure a line, without help or types."""

    figures: Figures[tuple[str, ...]] = field(default_factory=Figures)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        assert len(labels) == len(counter.labels)
        with self._lock:
            self.figures[f"{counter.name}_total", *labels] += by

    def observe(self, histogram: Histogram, value: float, *labels: str) -> None:
        assert len(labels) == len(histogram.labels)
        with self._lock:
            self.figures[f"{histogram.name}_count", *labels] += 1

    def text(self, readings: Iterable[Reading]) -> bytes:
        with self._lock:
            figures = dict(self.figures)
        shown = {**figures, **{(r.gauge.name, *r.labels): r.value for r in readings}}
        return "".join(f"{' '.join(key)} {value}\n" for key, value in shown.items()).encode()


@dataclass
class MemoryBuckets:
    """Of all processes that are given it; `asked` counts what would be writes to the store."""

    now: int = 1
    asked: int = 0
    full_at: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str, limit: RateLimit, *, most: int) -> Taken:
        with self._lock:
            self.asked += 1
            known = self.full_at.get(name, 0)
            taken = take(limit, full_at=known, now=self.now, most=most)
            self.full_at[name] = taken.full_at
            return taken
