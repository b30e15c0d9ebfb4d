"""What the background loop does for the logs: nothing waits for them for longer than a round."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from service.domain.errors import LogRolledBackError, LogUnavailableError
from service.domain.log import LogName
from service.operations.log.extend import ExtendLog
from service.operations.log.rollback import RollbackGuard
from service.ports.log import LogWriter

log = logging.getLogger(__name__)

TEND_SECONDS: Final = 5.0  # deliveries wait meanwhile


@dataclass(frozen=True, slots=True)
class TendLogs:
    """The audit log grows by this alone; the log `signatures` by it where requests have died."""

    writer: LogWriter
    extend: ExtendLog
    guard: RollbackGuard

    def __call__(self) -> None:
        """Extend each log that is behind, and keep its newest checkpoint, whoever has published it.

        Raises StoreUnavailableError.
        """
        for name in LogName:
            try:
                if self.writer.is_behind(name):
                    self.extend(name, seconds=TEND_SECONDS)
                self.guard.follow(name)
            except (LogUnavailableError, LogRolledBackError) as error:
                log.warning(
                    "log not tended",
                    extra={"log": name.value, "code": error.code, "detail": str(error)},
                )
