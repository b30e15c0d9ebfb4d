"""What the service counts, for whoever watches it (`GET /metrics`).

Every figure is named here, once. Labels come from closed sets (routes, error codes, configured
tokens): never from what a caller sent, or the number of series would be the caller's choice.
Counters and histograms are counted where things happen; gauges are read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Counter:
    """A figure that only grows; it is exposed with the suffix `_total`."""

    name: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Gauge:
    name: str
    help: str
    labels: tuple[str, ...]


REQUESTS: Final = Counter(
    "sealwright_http_requests",
    "Requests answered, by route (never a path) and status.",
    ("method", "route", "status"),
)
REQUEST_SECONDS: Final = Histogram(
    "sealwright_http_request_seconds",
    "How long answers took.",
    ("route",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
SIGNATURES: Final = Counter(
    "sealwright_hsm_signatures",
    "Signatures asked of a token, by result: made, or the code of the error.",
    ("token", "result"),
)
RELOGINS: Final = Counter(
    "sealwright_hsm_relogins",
    "Logins to a token after the first of a process: the login before was lost.",
    ("token",),
)
REINITIALISATIONS: Final = Counter(
    "sealwright_hsm_reinitialisations",
    "Times that a token's module was finalised and initialised again to mend it.",
    ("token",),
)
FAILOVERS: Final = Counter(
    "sealwright_hsm_failovers",
    "Times that signatures were asked of another location because this token failed.",
    ("token",),
)
WATCHDOG_ENDS: Final = Counter(
    "sealwright_hsm_watchdog_ends",
    "Processes that ended themselves because a call to the module did not come back.",
    ("module",),
)
COUNTERS: Final = (
    REQUESTS,
    SIGNATURES,
    RELOGINS,
    REINITIALISATIONS,
    FAILOVERS,
    WATCHDOG_ENDS,
)
HISTOGRAMS: Final = (REQUEST_SECONDS,)

CERTIFICATE_NOT_AFTER: Final = Gauge(
    "sealwright_certificate_not_after_seconds",
    "When the certificate chain of a key version ends, in seconds since the epoch.",
    ("key", "version"),
)
OUTBOX_ORDERS: Final = Gauge(
    "sealwright_outbox_orders",
    "Orders in the outbox that are waiting, or were parked.",
    ("state",),
)


HSM_QUARANTINED: Final = Gauge(
    "sealwright_hsm_quarantined",
    "1 while a module is left alone because a call to it did not come back.",
    ("module",),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gauge shows now."""

    gauge: Gauge
    labels: tuple[str, ...]
    value: float


class Meter(Protocol):
    """Counts. Must be cheap, safe from several threads, and must never raise."""

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        """Add `by`, which may be 0: the figure is then shown before anything happens."""
        ...

    def observe(self, histogram: Histogram, value: float, *labels: str) -> None: ...


class GaugeSource(Protocol):
    """Something that can be read. May raise a ServiceError; it is then left out."""

    def readings(self) -> Sequence[Reading]: ...


class Exposition(Protocol):
    def text(self, readings: Iterable[Reading]) -> bytes:
        """Return everything counted by all processes of the service, and the readings.

        In the Prometheus text format, version 0.0.4.
        """
        ...


class NoMeter:
    """For processes whose figures nobody reads: local tools."""

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        return None

    def observe(self, histogram: Histogram, value: float, *labels: str) -> None:
        return None
