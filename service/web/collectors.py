"""Audit events for collectors, one line each: Common Event Format, alone or as syslog messages.

CEF is ArcSight's, version 0; a syslog message is that of RFC 5424, section 6, with such a line as
its MSG.
"""

from __future__ import annotations

import json
from typing import Final

from service.domain.audit import LoggedEvent
from service.domain.clock import rfc3339, to_millis

HIGH: Final = 8
LOW: Final = 3
_FACILITY: Final = 13  # log audit
_WARNING: Final = 4
_INFORMATIONAL: Final = 6
_MAX_MSGID: Final = 32
_REFUSALS: Final = (".denied", ".refused", ".rejected", ".failed", ".compromised", ".destroyed")


def cef_line(event: LoggedEvent, *, version: str) -> str:
    """Return the line without its end. `cs1` is the event's bytes, `cn1` its place in the log."""
    severity = HIGH if _is_refusal(event) else LOW
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


def syslog_line(event: LoggedEvent, *, version: str) -> str:
    """Return the message without its end. HOSTNAME and PROCID are nil: replicas share one log."""
    severity = _WARNING if _is_refusal(event) else _INFORMATIONAL
    kind = "".join(c for c in event.action if "!" <= c <= "~")[:_MAX_MSGID] or "-"
    header = f"<{_FACILITY * 8 + severity}>1 {rfc3339(event.at)} - sealwright - {kind} -"
    return f"{header} {cef_line(event, version=version)}"


def _is_refusal(event: LoggedEvent) -> bool:
    return event.action.endswith(_REFUSALS)


def _head(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\n", "\\n").replace("\r", "\\r")
