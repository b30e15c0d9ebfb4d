"""What the background loop does for the logs: nothing waits for them for longer than a round."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from service.domain.errors import LogRolledBackError, LogUnavailableError
from service.domain.log import LogName
from service.operations.log.extend import ExtendLog
from service.ports.log import LogWriter

log = logging.getLogger(__name__)

TEND_SECONDS: Final = 5.0  # deliveries wait meanwhile


@dataclass(frozen=True, slots=True)
class TendLogs:
    """The audit log grows by this alone; the log `signatures` by it where requests have died."""

    writer: LogWriter
    extend: ExtendLog

    def __call__(self) -> None:
        """Extend each log that is behind. Raises StoreUnavailableError."""
        for name in LogName:
            if not self.writer.is_behind(name):
                continue
            try:
                self.extend(name, seconds=TEND_SECONDS)
            except (LogUnavailableError, LogRolledBackError) as error:
                log.warning(
                    "log not extended",
                    extra={"log": name.value, "code": error.code, "detail": str(error)},
                )
