"""Logs as JSON lines: a constant event, and its facts as key-values.

Callers write `log.info("signed", extra={"key": ..., "intent": ...})`. Payloads, tokens and PINs
are never handed to a logger, so there is nothing to scrub here.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final, TextIO

from service.domain.clock import rfc3339

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; whatever else one has was given as `extra`."""


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, then the event's own facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _OWN)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # ASCII only and no raw newline: one event is one line, whatever the facts hold.
        return json.dumps(line, default=str)


def configure(stream: TextIO, *, level: str = "INFO") -> None:
    """Send everything that is logged in this process to `stream`, as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
