"""The audit trail: exact bytes, in sequence, never changed.

`body` is JSON in UTF-8 with sorted keys and no spaces. What is hashed and proven later are
these bytes as they were written; nothing re-encodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson
from sqlalchemy import Connection

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis, rfc3339
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import audit_events
from service.store.sql import database_now

_INSERT: Final = BulkInsert(audit_events, ("at", "body"))


AuditFrame = tuple[bytes, bytes]
"""The bytes of an event before and behind its time, which the transaction knows first."""


def frame(event: AuditEvent) -> AuditFrame:
    before = orjson.dumps({"action": event.action, "actor": event.actor})[:-1]
    behind = orjson.dumps(
        {"details": event.details, "subject": event.subject}, option=orjson.OPT_SORT_KEYS
    )[1:]
    return before + b',"at":"', b'",' + behind


def stamped(framed: AuditFrame, at: str) -> bytes:
    """Return the exact bytes of an event that happened at `at` (RFC 3339)."""
    before, behind = framed
    return before + at.encode() + behind


def record(connection: Connection, events: Sequence[AuditEvent], *, now: int) -> None:
    """Append within the caller's transaction, so that a deed and its record are one."""
    record_framed(connection, [frame(event) for event in events], now=now)


def record_framed(connection: Connection, frames: Sequence[AuditFrame], *, now: int) -> None:
    """As `record`, of events whose bytes were made before the transaction."""
    at = rfc3339(from_millis(now))
    _INSERT.tuples(connection, [(now, stamped(framed, at)) for framed in frames])


class StoredAuditTrail:
    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, events: Sequence[AuditEvent]) -> None:
        if events:
            self._database.write(partial(_append, events))


def _append(events: Sequence[AuditEvent], connection: Connection) -> None:
    record(connection, events, now=database_now(connection))
