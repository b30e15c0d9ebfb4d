"""What the service tells of itself in numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.errors import ServiceError
from service.ports.metrics import (
    REQUEST_SECONDS,
    REQUESTS,
    Exposition,
    GaugeSource,
    Meter,
    Reading,
)

log = logging.getLogger(__name__)

NO_ROUTE = "none"  # a path that leads nowhere: whatever was typed must not become a label


@dataclass(frozen=True, slots=True)
class Metrics:
    meter: Meter
    exposition: Exposition
    sources: Sequence[GaugeSource]

    def answered(self, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request. `method` counts only where `route` does: both are then ours."""
        if route is None:
            self.meter.count(REQUESTS, NO_ROUTE, NO_ROUTE, str(status))
            return
        self.meter.count(REQUESTS, method, route, str(status))
        self.meter.observe(REQUEST_SECONDS, seconds, route)

    def text(self) -> bytes:
        """Return the figures. What cannot be read now is left out, never guessed."""
        readings: list[Reading] = []
        for source in self.sources:
            try:
                readings += source.readings()
            except ServiceError as error:
                log.warning(
                    "a gauge cannot be read", extra={"code": error.code, "detail": str(error)}
                )
        return self.exposition.text(readings)
