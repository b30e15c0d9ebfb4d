"""Audit events in ArcSight's Common Event Format, version 0: one line each, for collectors."""

from __future__ import annotations

import json
from typing import Final

from service.domain.audit import LoggedEvent
from service.domain.clock import to_millis

HIGH: Final = 8
LOW: Final = 3
_REFUSALS: Final = (".denied", ".refused", ".rejected", ".failed", ".compromised", ".destroyed")


def cef_line(event: LoggedEvent, *, version: str) -> str:
    """Return the line without its end. `cs1` is the event's bytes, `cn1` its place in the log."""
    severity = HIGH if event.action.endswith(_REFUSALS) else LOW
    header = ("CEF:0", "Sealwright", "sealwright", version, event.action, event.action)
    extension = {
        "rt": str(to_millis(event.at)),
        "suser": event.actor,
        "cn1Label": "index",
        "cn1": str(event.index),
        "cs1Label": "event",
        "cs1": json.dumps(json.loads(event.body), separators=(",", ":"), sort_keys=True),
        "cs2Label": "subject",
        "cs2": event.subject,
    }
    fields = " ".join(f"{name}={_value(value)}" for name, value in extension.items())
    return "|".join(map(_head, header)) + f"|{severity}|{fields}"


def _head(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\n", "\\n").replace("\r", "\\r")
